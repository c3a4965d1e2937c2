"""Where checkpoints are kept: whole, in order, never replaced."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from bottega.core.errors import InvalidValue, StorageFailed, Tampered
from bottega.governance.checkpoint import Checkpoint, RecordKey, verify
from bottega.governance.witness import Witness


@pytest.fixture
def key(tmp_path: Path) -> RecordKey:
    return RecordKey.local(tmp_path / "record")


@pytest.fixture(params=["file", "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "witness"
    if request.param == "folder":
        path.mkdir()
    return path


def note(key: RecordKey, size: int, *, root: str = "", second: int = 0) -> str:
    root = root or sha256(b"%d" % size).hexdigest()
    return key.sign(Checkpoint(origin=key.name, size=size, root=root, at=f"2026-01-01T00:00:{second:02}Z"))


def test_what_is_written_is_read_back_in_order(key: RecordKey, place: Path) -> None:
    witness = Witness(place)
    assert witness.all() == []
    notes = [note(key, size) for size in (1, 20, 300)]
    for each in notes:
        witness.write(each)
    assert Witness(place).all() == notes
    assert [verify(each, key.vkey).size for each in Witness(place).all()] == [1, 20, 300]


def test_a_note_with_further_signers_stays_one_note(key: RecordKey, place: Path, tmp_path: Path) -> None:
    cosigned = note(key, 1) + note(RecordKey.local(tmp_path / "other"), 1).rpartition("\n\n")[2]
    Witness(place).write(cosigned)
    Witness(place).write(note(key, 2))
    assert Witness(place).all() == [cosigned, note(key, 2)]


def test_many_writers_lose_nothing(key: RecordKey, place: Path) -> None:
    notes = [note(key, size) for size in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Witness(place).write, notes))
    assert sorted(Witness(place).all()) == sorted(notes)


def test_what_is_no_checkpoint_is_not_kept(place: Path) -> None:
    with pytest.raises(InvalidValue):
        Witness(place).write("hello\n\n— me AAAA\n")
    assert Witness(place).all() == []


def test_a_folder_names_files_after_the_size_and_never_replaces_one(key: RecordKey, tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness")
    (tmp_path / "witness").mkdir()
    witness.write(note(key, 123))
    witness.write(note(key, 123, second=30))
    with pytest.raises(Tampered, match="another root for 123"):
        witness.write(note(key, 123, root="0" * 64))
    assert [path.name for path in (tmp_path / "witness").iterdir()] == ["checkpoint-0000000123.txt"]
    assert witness.all() == [note(key, 123)]


def test_every_cut_off_note_is_left_out_and_then_written_over(key: RecordKey, tmp_path: Path) -> None:
    """A crash may cut the last note anywhere; what was confirmed before stays."""
    path = tmp_path / "witness"
    first, second, third = (f"{note(key, size)}\n".encode() for size in (1, 2, 3))
    for cut in range(len(second)):
        path.write_bytes(first + second[:cut])
        assert Witness(path).all() == [note(key, 1)]
        Witness(path).write(note(key, 3))
        assert path.read_bytes() == first + third
        path.write_bytes(second[:cut])
        Witness(path).write(note(key, 3))
        assert Witness(path).all() == [note(key, 3)]


def test_a_place_that_is_not_there_is_said(key: RecordKey, tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="No such file"):
        Witness(tmp_path / "unmounted" / "witness.txt").write(note(key, 1))
    (tmp_path / "binary").write_bytes(b"\xff\n\n")
    with pytest.raises(StorageFailed, match="utf-8"):
        Witness(tmp_path / "binary").all()


@pytest.mark.parametrize("data", [b"accounts\n", b"x" * 100_000, b"x" * 100_000 + b"\n\n"])
def test_a_file_of_something_else_is_not_touched(key: RecordKey, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "accounts.txt"
    path.write_bytes(data)
    with pytest.raises(StorageFailed, match="other than checkpoints"):
        Witness(path).write(note(key, 1))
    assert path.read_bytes() == data


def test_a_long_file_is_only_read_at_its_end(key: RecordKey, tmp_path: Path) -> None:
    path = tmp_path / "witness"
    notes = [note(key, size) for size in range(400)]  # more than the part that is read
    path.write_text("".join(f"{each}\n" for each in notes))
    Witness(path).write(note(key, 400))
    assert Witness(path).all() == [*notes, note(key, 400)]


def test_a_full_disk_leaves_nothing_half_written(key: RecordKey) -> None:
    """/dev/full refuses every write as a full disk does."""
    with pytest.raises(StorageFailed, match="No space left"):
        Witness(Path("/dev/full")).write(note(key, 1))
