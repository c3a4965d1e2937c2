"""What is looked for in a file is found wherever it lies, and the file is never held as a whole."""

import hashlib
from pathlib import Path

import pytest

from bottega.governance.frame import PIECE, file_type_box, find


@pytest.mark.parametrize("place", [0, 1, PIECE - 13, PIECE - 1, PIECE, 2 * PIECE - 5, 3 * PIECE])
def test_a_mark_is_found_across_the_edges_of_pieces(tmp_path: Path, place: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(place) + b"c2pa.claim.v2" + bytes(9) + b"org.bottega" + bytes(PIECE))
    with path.open("rb") as file:
        assert find(file, b"org.bottega", b"c2pa.claim.v2") == place
        assert find(file, b"org.bottega", b"c2pa.claim.v2", start=place + 1) == place + 13 + 9
        assert find(file, b"c2pa.claim.v3") == -1


def test_the_leading_box_is_hashed_as_long_as_it_says_it_is(tmp_path: Path) -> None:
    box = (PIECE + 100).to_bytes(4) + b"ftyp" + b"isom" * (PIECE // 4 + 23)
    path = tmp_path / "film.mp4"
    path.write_bytes(box + b"moov")
    with path.open("rb") as file:
        assert file_type_box(file) == hashlib.sha256(box).hexdigest()
    path.write_bytes(b"RIFF" + box)
    with path.open("rb") as file:
        assert file_type_box(file) == ""
