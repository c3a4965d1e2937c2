"""The bounded cache, and the folder that is one process's own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bottega.storage.cache import Cache, PrivateFolder, sweep


def write(data: bytes) -> Callable[[Path], None]:
    def make(target: Path) -> None:
        target.write_bytes(data)

    return make


def age(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def held(cache: Cache) -> set[str]:
    return {path.name for path in cache.folder.iterdir() if path.is_file()}


def test_a_file_is_made_once_however_many_want_it(tmp_path: Path) -> None:
    cache, made, got = Cache(tmp_path / "cache"), list[Path](), list[bytes]()

    def make(target: Path) -> None:
        made.append(target)
        time.sleep(0.05)  # the others come meanwhile
        target.write_bytes(b"whole")

    threads = [
        threading.Thread(target=lambda: got.append(cache.get("aa", make).read_bytes())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [b"whole"] * 8
    assert len(made) == 1


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=250, spare_seconds=10)
    for name, seconds in (("aa", 100), ("bb", 200)):
        age(cache.get(name, write(bytes(100))), seconds)
    cache.get("bb", write(b"never asked"))  # used now, so aa is the older one
    cache.get("cc", write(bytes(100)))
    assert held(cache) == {"bb", "cc"}


def test_what_was_just_asked_for_stays_though_the_bound_is_passed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=250, spare_seconds=3600)
    for name in ("aa", "bb", "cc", "dd"):
        cache.get(name, write(bytes(100)))
    assert held(cache) == {"aa", "bb", "cc", "dd"}


def test_a_file_larger_than_the_cache_is_handed_out_all_the_same(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=10, spare_seconds=0)
    assert cache.get("aa", write(bytes(100))).stat().st_size == 100


def test_what_fails_while_it_is_made_leaves_nothing(tmp_path: Path) -> None:
    def broken(target: Path) -> None:
        target.write_bytes(b"half")
        raise ValueError("broken")

    cache = Cache(tmp_path / "cache")
    with pytest.raises(ValueError, match="broken"):
        cache.get("aa", broken)
    assert held(cache) == set()
    assert list(cache.staging.iterdir()) == []
    assert cache.get("aa", write(b"whole")).read_bytes() == b"whole"


def test_a_private_folder_is_nobody_elses_and_goes_at_the_end(tmp_path: Path) -> None:
    folder, other = PrivateFolder(tmp_path / "private"), PrivateFolder(tmp_path / "private")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert (
        folder.path != other.path and folder.path.is_dir()
    )  # a living one is not swept, even by its own process
    folder.close()
    folder.close()
    assert not folder.path.exists() and other.path.is_dir()
    other.close()


START = """
import sys, time
from pathlib import Path
from bottega.storage.cache import PrivateFolder
folder = PrivateFolder(Path(sys.argv[1]))
(folder.path / "secret").write_text("plain")
print(folder.path, flush=True)
if len(sys.argv) > 2:
    time.sleep(600)
"""


def test_a_process_that_ends_removes_its_folder_and_what_a_killed_one_left_is_swept(tmp_path: Path) -> None:
    private = tmp_path / "private"
    ended = subprocess.run([sys.executable, "-c", START, private], capture_output=True, text=True, check=True)
    assert not Path(ended.stdout.strip()).exists()
    with subprocess.Popen(
        [sys.executable, "-c", START, private, "stay"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        left = Path(process.stdout.readline().strip())
        sweep(private)
        assert (left / "secret").exists()  # it lives
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (left / "secret").exists()
    sweep(private)
    assert not left.exists()
