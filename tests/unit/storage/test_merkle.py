"""The tree against the reference vectors of Certificate Transparency."""

from collections.abc import Sequence
from hashlib import sha256

import pytest

from bottega.core.errors import InvalidValue
from bottega.storage.merkle import (
    EMPTY,
    TILE,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The eight entries that the reference implementations of RFC 6962 share, and the root over the first n of them.
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
EXTENSIONS = {
    (2, 8): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


class Kept:
    """Leaf hashes in a list; counts what is read."""

    def __init__(self, hashes: Sequence[bytes], *, tiles: bool = True) -> None:
        self.hashes = hashes
        self.tiles = tiles
        self.read = 0

    def leaves(self, start: int, end: int) -> Sequence[bytes]:
        self.read += end - start
        return self.hashes[start:end]

    def tile(self, index: int) -> bytes | None:
        self.read += 1
        return root_of(self.hashes[index * TILE : (index + 1) * TILE]) if self.tiles else None


EIGHT = Kept([leaf_hash(entry) for entry in ENTRIES])


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    assert root(EIGHT, size).hex() == ROOTS[size]
    assert root_of(EIGHT.hashes[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_paths_are_those_of_the_reference(index: int, size: int) -> None:
    path = inclusion_proof(EIGHT, index, size)
    assert [each.hex() for each in path] == PATHS[index, size]
    assert verify_inclusion(EIGHT.hashes[index], index, size, path, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new"), EXTENSIONS)
def test_extensions_are_those_of_the_reference(old: int, new: int) -> None:
    path = consistency_proof(EIGHT, old, new)
    assert [each.hex() for each in path] == EXTENSIONS[old, new]
    assert verify_consistency(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), path)


def test_a_leaf_cannot_pass_for_a_node() -> None:
    left, right = EIGHT.hashes[:2]
    assert leaf_hash(left + right) != node_hash(left, right)
    assert leaf_hash(b"") == sha256(b"\x00").digest() != EMPTY


def test_a_whole_tree_is_read_by_tiles() -> None:
    size = 10 * TILE + 3
    journal = Kept([leaf_hash(b"%d" % number) for number in range(size)])
    top = root(journal, size)
    assert journal.read == 10 + 3
    journal.read = 0
    path = inclusion_proof(journal, 5 * TILE + 7, size)
    assert journal.read < 10 + 3 + TILE
    assert verify_inclusion(journal.hashes[5 * TILE + 7], 5 * TILE + 7, size, path, top)


def test_a_frontier_of_tiles_has_the_root_of_the_leaves() -> None:
    hashes = [leaf_hash(b"%d" % number) for number in range(7 * TILE + 5)]
    frontier = Frontier()
    assert frontier.root() == EMPTY
    for start in range(0, 7 * TILE, TILE):
        frontier.append(root_of(hashes[start : start + TILE]))
        assert frontier.root() == root_of(hashes[: start + TILE])
    assert frontier.root(root_of(hashes[7 * TILE :])) == root_of(hashes)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_no_path_for_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(InvalidValue):
        inclusion_proof(EIGHT, index, size)
    assert not verify_inclusion(EIGHT.hashes[0], index, size, [], EIGHT.hashes[0])


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3)])
def test_no_extension_backwards(old: int, new: int) -> None:
    with pytest.raises(InvalidValue):
        consistency_proof(EIGHT, old, new)
    assert not verify_consistency(old, new, EMPTY, EMPTY, [])


def test_the_empty_tree_is_the_start_of_every_tree() -> None:
    top = bytes.fromhex(ROOTS[8])
    assert consistency_proof(EIGHT, 0, 8) == []
    assert verify_consistency(0, 8, EMPTY, top, [])
    assert not verify_consistency(0, 8, top, top, [])
    assert not verify_consistency(0, 8, EMPTY, top, [top])


def test_the_size_alone_is_not_bound_by_the_path() -> None:
    """Why `size` has to come with the root, from a checkpoint."""
    path = inclusion_proof(EIGHT, 0, 3)
    assert verify_inclusion(EIGHT.hashes[0], 0, 4, path, bytes.fromhex(ROOTS[3]))
    assert not verify_inclusion(EIGHT.hashes[0], 0, 4, path, bytes.fromhex(ROOTS[4]))


def test_what_is_not_a_hash_is_refused() -> None:
    path, top = inclusion_proof(EIGHT, 5, 8), bytes.fromhex(ROOTS[8])
    assert not verify_inclusion(EIGHT.hashes[5], 5, 8, [*path[:-1], path[-1] + b"\x00"], top)
    assert not verify_inclusion(EIGHT.hashes[5][:-1], 5, 8, path, top)
    assert not verify_consistency(4, 8, b"", top, [])
