"""The folder appears whole or not at all, and never eats what it did not make."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.unit.delivery.conftest import Trial, sign

from bottega.core.errors import InputError, InvalidPlan, LeaseLost, StorageFailed
from bottega.delivery.manifest import Manifest
from bottega.delivery.summary import summary
from bottega.storage.leases import Turn


def everything_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_manifest_lists_every_file_with_its_hashes(full: Trial, tmp_path: Path):
    delivery = full.deliver(tmp_path / "out")
    manifest = Manifest.model_validate_json(delivery.manifest.read_bytes())
    files = everything_in(delivery.out)
    listed = {f.path: f.sha256 for f in (*manifest.artifacts, *manifest.support)}
    assert listed == {
        name: sha256(data).hexdigest() for name, data in files.items() if name != "manifest.json"
    }
    hero = next(f for f in manifest.artifacts if f.path == "hero.png")
    assert hero.content_digest != hero.sha256 and hero.sidecar == ""
    faq = next(f for f in manifest.artifacts if f.path == "faq.json")
    assert faq.content_digest == faq.sha256 and faq.sidecar == "faq.json.c2pa"
    assert sha256(files["plan.json"]).hexdigest() == manifest.plan == full.run.plan
    assert {p.name for p in tmp_path.iterdir()} == {"store", "out"}


def test_an_earlier_delivery_is_replaced_and_an_empty_folder_filled(full: Trial, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    full.deliver(out)
    before = everything_in(out)
    full.deliverables.pop()  # the captions
    full.deliver(out)
    assert set(before) - set(everything_in(out)) == {"film.vtt", "film.vtt.c2pa"}
    assert {p.name for p in tmp_path.iterdir()} == {"out", "store"}


@pytest.mark.parametrize("foreign", ["notes.txt", "manifest.json"])
def test_a_foreign_folder_is_refused_and_left_alone(full: Trial, tmp_path: Path, foreign: str):
    out = tmp_path / "out"
    out.mkdir()
    (out / foreign).write_text('{"format": "something else"}')
    with pytest.raises(InputError, match="--out") as caught:
        full.deliver(out)
    assert foreign in str(caught.value)
    assert everything_in(out) == {foreign: b'{"format": "something else"}'}
    assert {p.name for p in tmp_path.iterdir()} == {"out", "store"}


def test_a_file_added_by_hand_is_not_swept_away(full: Trial, tmp_path: Path):
    out = full.deliver(tmp_path / "out").out
    (out / "my notes.txt").write_text("keep")
    with pytest.raises(InputError, match="my notes"):
        full.deliver(out)
    assert (out / "my notes.txt").read_text() == "keep"


@pytest.mark.parametrize(
    "path", ["../up.txt", "/etc/x", "index.html", "certificates/root.pem", "a\\b", ".hidden", "a\nb"]
)
def test_a_file_name_may_not_leave_the_folder_or_take_our_names(trial: Trial, tmp_path: Path, path: str):
    trial.add("a", {"text": ("x", "text/plain")}, [("text", path, "A", "note", "")])
    with pytest.raises(InvalidPlan, match=r"a\.text"):
        trial.deliver(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_deliverables_may_not_share_a_name(trial: Trial, tmp_path: Path):
    trial.add(
        "a",
        {"text": ("x", "text/plain")},
        [("text", "A.txt", "A", "note", ""), ("text", "a.TXT", "B", "note", "")],
    )
    with pytest.raises(InvalidPlan, match="taken"):
        trial.deliver(tmp_path / "out")


def test_a_full_disk_leaves_nothing(full: Trial, tmp_path: Path):
    def no_space(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageFailed, match="No space"):
        full.deliver(tmp_path / "out", sign=no_space)
    assert {p.name for p in tmp_path.iterdir()} == {"store"}


def _nothing() -> None:
    pass


def lost() -> None:
    raise LeaseLost("another worker has taken over step '@delivery'")


def test_who_has_lost_the_turn_puts_nothing_in_place(full: Trial, tmp_path: Path):
    out, looks = tmp_path / "out", iter([None, lost])
    with pytest.raises(LeaseLost):  # before the rename
        full.deliver(out, turn=Turn(1, lambda: (next(looks) or _nothing)()))
    with pytest.raises(LeaseLost):  # before anything is written
        full.deliver(out, turn=Turn(1, lost))
    assert {p.name for p in tmp_path.iterdir()} == {"store"}


def test_who_comes_back_late_neither_mixes_in_nor_leaves_anything(full: Trial, tmp_path: Path):
    """A worker stops between two files; another has the turn, delivers, and the first goes on."""
    out, files = tmp_path / "out", iter(range(99))

    def stopped(*given: Any) -> Any:
        if next(files) == 1:
            full.deliver(out, turn=Turn(2))
        return sign(*given)

    with pytest.raises(StorageFailed):
        full.deliver(out, sign=stopped, turn=Turn(1))
    manifest = Manifest.model_validate_json((out / "manifest.json").read_bytes())
    files_ = everything_in(out)
    assert all(sha256(files_[file.path]).hexdigest() == file.sha256 for file in manifest.artifacts)
    assert {p.name for p in tmp_path.iterdir()} == {"out", "store"}


def test_who_comes_late_takes_nothing_from_who_has_the_turn(full: Trial, tmp_path: Path):
    out, files = tmp_path / "out", iter(range(99))

    def overtaken(*given: Any) -> Any:
        if next(files) == 1:  # it had looked before it stopped, and looks again before it renames
            looks = iter([None, lost])
            with pytest.raises(LeaseLost):
                full.deliver(out, turn=Turn(1, lambda: (next(looks) or _nothing)()))
        return sign(*given)

    assert full.deliver(out, sign=overtaken, turn=Turn(2)).out == out
    assert {p.name for p in tmp_path.iterdir()} == {"out", "store"}


def test_a_step_that_waits_is_withheld_with_its_reason(full: Trial, tmp_path: Path):
    full.results[-1] = full.results[-1].model_copy(
        update={"state": "awaiting_review", "error": "captions late"}
    )
    full.state = "awaiting_review"
    delivery = full.deliver(tmp_path / "out")
    assert [item.path for item in delivery.withheld] == ["film.mp4", "film.vtt"]
    assert not (delivery.out / "film.mp4").exists()
    assert json.loads(delivery.manifest.read_text())["withheld"][0]["reason"] == "captions late"
    lines = summary(full.plan, full.run, delivery.out)
    assert lines[0].startswith("Waiting for review")
    assert any("film.mp4" in line and "waits for a person" in line for line in lines)
    assert any("numbers_grounded" in line for line in lines)
    assert lines[-1] == f"Open {delivery.out / 'index.html'}"


def test_killing_it_leaves_the_old_folder_or_the_new_one(tmp_path: Path):
    """Deliver two versions in turn, kill at many moments: `out` is always one whole delivery."""
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from conftest import Trial
        root = Path({str(tmp_path)!r})
        (root / "store").mkdir(exist_ok=True)
        trial = Trial(root / "store")
        trial.add("a", {{"text": ("x", "text/plain")}}, [("text", f"a{{i}}.txt", "A", "note", "") for i in range(3)])
        trials = [trial, Trial(root / "store")]
        trials[1].add("b", {{"text": ("y", "text/plain")}}, [("text", "b.txt", "B", "note", "")])
        trial.deliver(root / "out")
        print("ready", flush=True)
        while True:
            for each in trials:
                each.deliver(root / "out")
    """)
    for delay in (0.0, 0.004, 0.011, 0.018, 0.027):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        files = everything_in(tmp_path / "out")
        manifest = json.loads(files.pop("manifest.json"))
        listed = {f["path"]: f["sha256"] for f in manifest["artifacts"] + manifest["support"]}
        assert listed == {name: sha256(data).hexdigest() for name, data in files.items()}
