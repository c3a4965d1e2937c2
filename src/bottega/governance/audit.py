"""Verifies a whole journal against itself and against checkpoints kept elsewhere, and names what was done to it.

Found without any checkpoint: entries edited, deleted, inserted or moved by somebody who did not recompute all that
follows. Found against a checkpoint: also a journal cut short, and one recomputed from end to end. Not found by
anybody: what was done to entries after the last checkpoint and recomputed; write checkpoints often.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NoReturn, Protocol, cast

from pydantic import Field

from bottega.core.canonical import canonical_json
from bottega.core.errors import Finding, InvalidValue, RecordAltered, Tampered
from bottega.core.value import JsonObject, Value
from bottega.governance import checkpoint
from bottega.governance.checkpoint import Checkpoint
from bottega.storage.merkle import TILE, Frontier, root_of

REMEDY = "keep the state folder as it is, and compare it with a backup"


class Journal(Protocol):
    """The journal as the verification reads it."""

    def size(self) -> int:
        """How many entries there are."""
        ...

    def entries(self, start: int, end: int) -> Iterable[tuple[int, bytes, bytes]]:
        """Sequence number, entry (canonical JSON) and stored leaf hash of those from ``start`` to before ``end``.

        In order; a number that is missing is left out.
        """
        ...

    def tile(self, index: int) -> bytes | None:
        """The stored root over the entries ``TILE * index`` to ``TILE * (index + 1)``; None when there is none."""
        ...


class Verified(Value, frozen=True):
    """A journal that holds."""

    size: int = Field(description="entries")
    root: str = Field(description="RFC 6962 root over all of them, hexadecimal")
    checkpoints: int = Field(description="signed checkpoints that agree")
    covered: int = Field(
        description="entries under the newest of them; later ones could still be rewritten unseen"
    )


def verify_journal(journal: Journal, notes: Sequence[str], vkey: str) -> Verified:
    """Recompute every leaf, tile and root; memory does not grow with the journal.

    Args:
        journal: what to verify.
        notes: signed checkpoints, from a witness, in any order.
        vkey: verifier key of the record.

    Raises:
        RecordAltered: with the finding and the first entry or the range of entries.
        InvalidValue: ``vkey`` is no verifier key.
    """
    due = deque(_checkpoints(notes, vkey))
    size = journal.size()
    frontier = Frontier()
    rest: bytes | None = None  # the root over the last entries, when they do not fill a tile
    covered = 0
    for start in range(0, size or 1, TILE):
        leaves = list(_leaves(journal, start, min(start + TILE, size), size))
        top = root_of(leaves)
        full = len(leaves) == TILE
        if full and journal.tile(start // TILE) not in (None, top):
            _altered("edited", start, start + TILE - 1, "they do not fit the stored tile over them")
        while due and due[0].size <= start + len(leaves):
            signed = due.popleft()
            if frontier.root(root_of(leaves[: signed.size - start])).hex() != signed.root:
                what = f"all hashes fit, but the root is not the one signed at {signed.at}"
                _altered("rewritten", covered, signed.size - 1, what)
            covered = signed.size
        if full:
            frontier.append(top)
        rest = None if full else top
    if due:
        _altered("truncated", size, due[-1].size - 1, f"the checkpoint of {due[-1].at} counts them")
    return Verified(size=size, root=frontier.root(rest).hex(), checkpoints=len(notes), covered=covered)


def _checkpoints(notes: Sequence[str], vkey: str) -> list[Checkpoint]:
    """The checkpoints, smallest first."""
    checkpoint.read_key(vkey)
    found: list[Checkpoint] = []
    for place, note in enumerate(notes):
        try:
            found.append(checkpoint.verify(note, vkey))
        except (Tampered, InvalidValue) as error:
            raise RecordAltered(
                f"forged checkpoint, number {place} of those given: {error.message}",
                finding="forged checkpoint",
                first=place,
                last=place,
                where="record",
                remedy="find out who wrote it, or whether it is of another record",
            ) from error
    found.sort(key=lambda each: each.size)
    for one, other in pairwise(found):
        if one.size == other.size and one.root != other.root:
            _altered("rewritten", 0, one.size - 1, f"two roots were signed: {one.at}, {other.at}")
    return found


def _leaves(journal: Journal, start: int, end: int, size: int) -> Iterator[bytes]:
    """The recomputed leaf hashes of a range."""
    expected = start
    for number, entry, stored in journal.entries(start, end):
        if number > expected:
            _altered("deleted", expected, number - 1, "the numbers have a gap")
        if number < expected:
            _altered("inserted", number, number, "the number stands twice")
        leaf = hashlib.sha256(b"\x00" + entry).digest()
        if leaf != stored:
            _altered("edited", number, number, "it does not fit its stored hash")
        inside = _number(entry)
        if inside is None:
            _altered("edited", number, number, "it is no canonical journal entry")
        if inside != number:
            _misplaced(journal, number, inside, size)
        yield leaf
        expected += 1
    if expected < end:
        _altered("deleted", expected, end - 1, "the numbers have a gap")


def _number(entry: bytes) -> int | None:
    """The number an entry gives itself; None when it gives none or is not canonical JSON."""
    try:
        value: object = json.loads(entry)
        canonical = canonical_json(value)
    except (ValueError, RecursionError, InvalidValue):
        return None
    number = cast(JsonObject, value).get("n") if isinstance(value, dict) else None
    return number if canonical == entry and type(number) is int and number >= 0 else None


def _misplaced(journal: Journal, place: int, inside: int, size: int) -> NoReturn:
    """Tell apart what makes an entry stand at another place than its number; all before it stand right."""
    if inside < place:
        _altered("inserted", inside, place, f"number {inside} is at both places")
    later = (
        (number, _number(entry))
        for start in range(place, size, TILE)
        for number, entry, _ in journal.entries(start, min(start + TILE, size))
    )
    least, where = min((own, number) for number, own in later if own is not None and own >= place)
    if least == place:
        _altered("reordered", place, where, f"number {place} is at place {where}")
    _altered("deleted", place, least - 1, "what came after was moved up")


def _altered(finding: Finding, first: int, last: int, what: str) -> NoReturn:
    which = f"entry {first}" if first == last else f"entries {first} to {last}"
    raise RecordAltered(
        f"{which} {finding}: {what}", finding=finding, first=first, last=last, where="record", remedy=REMEDY
    )
