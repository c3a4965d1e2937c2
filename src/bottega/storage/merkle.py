"""The Merkle tree over the journal: one root for all entries, and short proofs about it.

Leaf: SHA-256(0x00 || entry). Node: SHA-256(0x01 || left || right). A tree of n leaves splits at the largest power
of two below n. Every hash is 32 bytes. Source: RFC 6962, section 2.1; the verifiers are those of RFC 9162,
sections 2.1.3.2 and 2.1.4.2.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

from bottega.core.errors import InvalidValue

TILE = 256  # leaves; a power of two
EMPTY = sha256().digest()  # the root of no leaves


class Leaves(Protocol):
    """Where the leaf hashes are kept."""

    def leaves(self, start: int, end: int) -> Sequence[bytes]:
        """The leaf hashes ``start`` up to, not including, ``end``."""
        ...

    def tile(self, index: int) -> bytes | None:
        """The root over the leaves ``TILE * index`` to ``TILE * (index + 1)``; None when it is not kept."""
        ...


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over these hashes. Pairs are joined level by level; one left over moves up as it is."""
    level = list(leaves)
    while len(level) > 1:
        above = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0] if level else EMPTY


class Frontier:
    """A tree that grows to the right and keeps only the roots of its complete subtrees: log2(n) hashes."""

    def __init__(self) -> None:
        self._peaks: list[bytes] = []
        self._size = 0

    def append(self, node: bytes) -> None:
        """Add a leaf, or the root of a complete subtree as large as every other that was added."""
        self._size += 1
        size = self._size
        while size % 2 == 0:
            node = node_hash(self._peaks.pop(), node)
            size //= 2
        self._peaks.append(node)

    def root(self, rest: bytes | None = None) -> bytes:
        """The root of what was added, with ``rest`` (the root of a smaller subtree) at its right when given."""
        peaks = self._peaks if rest is None else [*self._peaks, rest]
        if not peaks:
            return EMPTY
        node = peaks[-1]
        for peak in reversed(peaks[:-1]):
            node = node_hash(peak, node)
        return node


def root(source: Leaves, size: int) -> bytes:
    """The root over the first ``size`` leaves; reads size/256 tiles and fewer than 256 leaves."""
    return _subtree(source, 0, size)


def inclusion_proof(source: Leaves, index: int, size: int) -> list[bytes]:
    """The hashes that lead from leaf ``index`` to the root over ``size`` leaves, lowest first.

    Raises:
        InvalidValue: when there is no such leaf among them.
    """
    if not 0 <= index < size:
        raise InvalidValue(f"entry {index} is not among the first {size}", remedy="take a later checkpoint")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(source, middle, end))
            end = middle
        else:
            path.append(_subtree(source, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(source: Leaves, old: int, new: int) -> list[bytes]:
    """The hashes that show that the tree over ``new`` leaves starts with the tree over ``old`` leaves.

    Empty when ``old`` is 0 (every tree starts with the empty one) or equal to ``new``.

    Raises:
        InvalidValue: unless 0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise InvalidValue(f"{old} entries are not the start of {new}", remedy="give the older size first")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_subtree(source, middle, end))
            end = middle
        else:
            path.append(_subtree(source, start, middle))
            start = middle
    if start:  # else this subtree is the whole old tree, whose root the verifier has
        path.append(_subtree(source, start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` leads from the hash ``leaf`` at ``index`` to ``root`` over ``size`` leaves.

    ``size`` must come with ``root`` from a signed checkpoint: on its own another size of the same shape
    passes as well (leaf 0 has the same path among 3 leaves as among 4).
    """
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    place, last, node = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if place % 2 or place == last:
            node = node_hash(other, node)
            while place and place % 2 == 0:  # the right edge: levels without a neighbour
                place, last = place // 2, last // 2
        else:
            node = node_hash(node, other)
        place, last = place // 2, last // 2
    return last == 0 and node == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of ``new`` leaves with ``new_root`` starts with that of ``old`` leaves with ``old_root``."""
    if not 0 <= old <= new or not _are_hashes(old_root, new_root, *proof):
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = old - 1, new - 1
    while place % 2:
        place, last = place // 2, last // 2
    before = after = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            before, after = node_hash(other, before), node_hash(other, after)
            while place and place % 2 == 0:
                place, last = place // 2, last // 2
        else:
            after = node_hash(after, other)
        place, last = place // 2, last // 2
    return last == 0 and before == old_root and after == new_root


def _split(size: int) -> int:
    """The largest power of two below ``size`` (at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def _subtree(source: Leaves, start: int, end: int) -> bytes:
    """The root over a range that is one subtree: ``start`` is a multiple of a power of two >= ``end - start``."""
    whole = (end - start) // TILE
    nodes = [_tile(source, start // TILE + index) for index in range(whole)]
    if start + whole * TILE < end:
        nodes.append(root_of(source.leaves(start + whole * TILE, end)))
    return root_of(nodes)


def _tile(source: Leaves, index: int) -> bytes:
    kept = source.tile(index)
    return root_of(source.leaves(index * TILE, (index + 1) * TILE)) if kept is None else kept


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == 32 for value in values)
