"""Laws of the Merkle tree: every true proof is accepted, every altered one is refused, tiles change nothing."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from bottega.storage.merkle import (
    TILE,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    root_of,
    verify_consistency,
    verify_inclusion,
)

LARGEST = 5 * TILE + 77
HASHES = [leaf_hash(b"entry %d" % number) for number in range(LARGEST)]


class Kept:
    """The first leaves, with or without tiles."""

    def __init__(self, *, tiles: bool) -> None:
        self.tiles = tiles

    def leaves(self, start: int, end: int) -> Sequence[bytes]:
        return HASHES[start:end]

    def tile(self, index: int) -> bytes | None:
        return root_of(HASHES[index * TILE : (index + 1) * TILE]) if self.tiles else None


WITH, WITHOUT = Kept(tiles=True), Kept(tiles=False)
# Small trees have the odd shapes; sizes about the tiles have the seams.
sizes = st.integers(1, 40) | st.integers(1, LARGEST) | st.sampled_from([TILE - 1, TILE, TILE + 1, 4 * TILE])


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(sizes)
    return draw(st.integers(0, size - 1)), size


@st.composite
def growths(draw: st.DrawFn) -> tuple[int, int]:
    new = draw(sizes)
    return draw(st.integers(1, new)), new


def defined(start: int, end: int) -> bytes:
    """MTH as RFC 6962 writes it down: recursively."""
    if end - start == 1:
        return HASHES[start]
    half = 1
    while half * 2 < end - start:
        half *= 2
    return sha256(b"\x01" + defined(start, start + half) + defined(start + half, end)).digest()


@cache
def root_at(size: int) -> bytes:
    return root_of(HASHES[:size])


def flip(value: bytes, bit: int) -> bytes:
    bit %= len(value) * 8
    return (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(len(value), "big")


@given(sizes)
def test_the_root_is_that_of_the_definition(size: int) -> None:
    assert root(WITH, size) == root(WITHOUT, size) == root_at(size) == defined(0, size)


@given(places())
def test_every_inclusion_proof_holds_with_and_without_tiles(place: tuple[int, int]) -> None:
    index, size = place
    path = inclusion_proof(WITH, index, size)
    assert path == inclusion_proof(WITHOUT, index, size)
    assert verify_inclusion(HASHES[index], index, size, path, root_at(size))


@given(growths())
def test_every_consistency_proof_holds_with_and_without_tiles(growth: tuple[int, int]) -> None:
    old, new = growth
    path = consistency_proof(WITH, old, new)
    assert path == consistency_proof(WITHOUT, old, new)
    assert verify_consistency(old, new, root_at(old), root_at(new), path)


@given(places(), st.integers(0, 255), st.data())
def test_one_bit_changed_breaks_inclusion(place: tuple[int, int], bit: int, data: st.DataObject) -> None:
    index, size = place
    path, top = inclusion_proof(WITH, index, size), root_at(size)
    assert not verify_inclusion(flip(HASHES[index], bit), index, size, path, top)
    assert not verify_inclusion(HASHES[index], index, size, path, flip(top, bit))
    other = data.draw(st.integers(-1, size + 1).filter(lambda number: number != index))
    assert not verify_inclusion(HASHES[index], other, size, path, top)
    assert not verify_inclusion(HASHES[index], index, size, [*path, HASHES[0]], top)
    if path:
        step = data.draw(st.integers(0, len(path) - 1))
        bent = [flip(each, bit) if number == step else each for number, each in enumerate(path)]
        assert not verify_inclusion(HASHES[index], index, size, bent, top)
        assert not verify_inclusion(HASHES[index], index, size, path[:step] + path[step + 1 :], top)


@given(places(), sizes)
def test_a_proof_does_not_hold_under_a_checkpoint_of_another_size(place: tuple[int, int], other: int) -> None:
    index, size = place
    path = inclusion_proof(WITH, index, size)
    assert verify_inclusion(HASHES[index], index, other, path, root_at(other)) == (other == size)


@given(growths(), st.integers(0, 255), st.data())
def test_one_bit_changed_breaks_consistency(growth: tuple[int, int], bit: int, data: st.DataObject) -> None:
    old, new = growth
    path, before, after = consistency_proof(WITH, old, new), root_at(old), root_at(new)
    assert not verify_consistency(old, new, flip(before, bit), after, path)
    assert not verify_consistency(old, new, before, flip(after, bit), path)
    assert not verify_consistency(old, new, before, after, [*path, HASHES[0]])
    if path:
        step = data.draw(st.integers(0, len(path) - 1))
        bent = [flip(each, bit) if number == step else each for number, each in enumerate(path)]
        assert not verify_consistency(old, new, before, after, bent)
        assert not verify_consistency(old, new, before, after, path[:step] + path[step + 1 :])


@given(growths(), growths())
def test_a_growth_does_not_pass_for_another(growth: tuple[int, int], other: tuple[int, int]) -> None:
    path = consistency_proof(WITH, *growth)
    holds = verify_consistency(*other, root_at(other[0]), root_at(other[1]), path)
    same = path == consistency_proof(WITH, *other)
    assert holds == same


@given(growths(), st.data())
def test_a_rewritten_past_is_not_consistent(growth: tuple[int, int], data: st.DataObject) -> None:
    old, new = growth
    victim = data.draw(st.integers(0, old - 1))
    rewritten = [*HASHES[:victim], leaf_hash(b"another"), *HASHES[victim + 1 : new]]
    path = consistency_proof(WITH, old, new)
    assert not verify_consistency(old, new, root_at(old), root_of(rewritten), path)
    assert not verify_consistency(old, new, root_of(rewritten[:old]), root_at(new), path)
