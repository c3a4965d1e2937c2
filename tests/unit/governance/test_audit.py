"""Every attack on the journal is found and named, and the one that cannot be found is shown."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from bottega.core.canonical import canonical_json
from bottega.core.errors import Finding, InvalidValue, RecordAltered
from bottega.governance.audit import verify_journal
from bottega.governance.checkpoint import Checkpoint, RecordKey
from bottega.storage.merkle import EMPTY, TILE, leaf_hash, root_of

SIZE = 3 * TILE + 40


@dataclass
class Row:
    """One entry as a database keeps it."""

    number: int
    entry: bytes
    leaf: bytes


def row(number: int, *, what: str = "", inside: int | None = None) -> Row:
    entry = canonical_json({"n": number if inside is None else inside, "what": what or f"event {number}"})
    return Row(number, entry, leaf_hash(entry))


class Table:
    """Rows and tiles that somebody with the database password can change at will."""

    def __init__(self, size: int) -> None:
        self.rows = [row(number) for number in range(size)]
        self.tiles: dict[int, bytes] = {}
        self.recompute()

    def recompute(self, *, renumber: bool = False) -> None:
        """What an attacker with the code would do: make numbers, leaves and tiles fit again."""
        if renumber:
            self.rows = [row(place, what=repr(each.entry)) for place, each in enumerate(self.rows)]
        leaves = [each.leaf for each in self.rows]
        self.tiles = {
            index: root_of(leaves[index * TILE : (index + 1) * TILE]) for index in range(len(leaves) // TILE)
        }

    def shift(self) -> None:
        """Number the rows by their places; what stands inside the entries stays."""
        for place, each in enumerate(self.rows):
            each.number = place

    def size(self) -> int:
        return len(self.rows)

    def entries(self, start: int, end: int) -> Iterable[tuple[int, bytes, bytes]]:
        return [(each.number, each.entry, each.leaf) for each in self.rows if start <= each.number < end]

    def tile(self, index: int) -> bytes | None:
        return self.tiles.get(index)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> RecordKey:
    return RecordKey.local(tmp_path_factory.mktemp("keys") / "record")


@pytest.fixture
def table() -> Table:
    return Table(SIZE)


def note(key: RecordKey, table: Table, size: int) -> str:
    root = root_of([each.leaf for each in table.rows[:size]]).hex()
    return key.sign(Checkpoint(origin=key.name, size=size, root=root, at="2026-01-01T00:00:00Z"))


def finding(table: Table, notes: Sequence[str], key: RecordKey) -> tuple[Finding, int, int]:
    with pytest.raises(RecordAltered) as caught:
        verify_journal(table, notes, key.vkey)
    assert caught.value.finding in str(caught.value)
    return caught.value.finding, caught.value.first, caught.value.last


@pytest.mark.parametrize("size", [0, 1, TILE - 1, TILE, TILE + 1, SIZE])
def test_an_honest_journal_holds(key: RecordKey, size: int) -> None:
    table = Table(size)
    sizes = sorted({0, size // 2, size, min(size, TILE), min(size, 1)}, reverse=True)
    notes = [note(key, table, each) for each in sizes]
    verified = verify_journal(table, notes, key.vkey)
    assert verified.size == verified.covered == size
    assert verified.checkpoints == len(notes)
    assert verified.root == root_of([each.leaf for each in table.rows]).hex()
    assert verify_journal(table, [], key.vkey).covered == 0
    table.tiles.clear()
    assert verify_journal(table, notes, key.vkey) == verified


def test_the_empty_journal_has_the_empty_root(key: RecordKey) -> None:
    assert verify_journal(Table(0), [], key.vkey).root == EMPTY.hex()


@pytest.mark.parametrize("place", [0, 5, TILE - 1, TILE, SIZE - 1])
def test_an_edit_is_found(key: RecordKey, table: Table, place: int) -> None:
    table.rows[place].entry = row(place, what="something else").entry
    assert finding(table, [], key) == ("edited", place, place)


def test_an_edited_hash_is_found(key: RecordKey, table: Table) -> None:
    table.rows[7].leaf = sha256(b"another").digest()
    assert finding(table, [], key) == ("edited", 7, 7)


@pytest.mark.parametrize(
    "entry",
    [
        b'{"n": 300, "what": "spaces"}',
        b'{"n":300,"n":300}',
        b'{"n":300.0}',
        b'{"n":"300"}',
        b'{"what":"no number"}',
        b'{"n":-300}',
        b'{"n":300,"x":NaN}',
        b'{"n":true}',
        b"[300]",
        b"nonsense",
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_an_entry_that_is_not_canonical_counts_as_edited(key: RecordKey, table: Table, entry: bytes) -> None:
    table.rows[300] = Row(300, entry, leaf_hash(entry))
    table.recompute()
    assert finding(table, [], key) == ("edited", 300, 300)


def test_an_edit_with_its_hash_is_found_by_the_tile(key: RecordKey, table: Table) -> None:
    table.rows[300] = row(300, what="something else")
    assert finding(table, [], key) == ("edited", TILE, 2 * TILE - 1)


@pytest.mark.parametrize(("place", "count"), [(0, 1), (5, 1), (250, 10), (TILE, 1), (TILE - 1, 1)])
def test_a_deletion_is_found_by_the_gap(key: RecordKey, table: Table, place: int, count: int) -> None:
    del table.rows[place : place + count]
    expected = ("deleted", place, min(place + count, TILE if place < TILE else SIZE) - 1)
    assert finding(table, [], key) == expected


def test_a_tail_that_is_counted_but_not_there_is_deleted(key: RecordKey) -> None:
    class Counted(Table):
        def size(self) -> int:
            return SIZE

    table = Counted(SIZE)
    del table.rows[SIZE - 2 :]
    assert finding(table, [], key) == ("deleted", SIZE - 2, SIZE - 1)


@pytest.mark.parametrize(("place", "count"), [(0, 1), (5, 1), (255, 3), (SIZE - 2, 1)])
def test_a_deletion_with_rows_moved_up_is_found(key: RecordKey, table: Table, place: int, count: int) -> None:
    del table.rows[place : place + count]
    table.shift()
    table.recompute()
    assert finding(table, [], key) == ("deleted", place, place + count - 1)


@pytest.mark.parametrize("place", [0, 5, TILE])
def test_an_insertion_is_found(key: RecordKey, table: Table, place: int) -> None:
    table.rows.insert(place, row(place, what="never happened"))
    table.shift()
    table.recompute()
    assert finding(table, [], key) == ("inserted", place, place + 1)


def test_a_second_row_under_one_number_is_found(key: RecordKey, table: Table) -> None:
    table.rows.insert(9, row(8, what="never happened"))
    table.recompute()
    assert finding(table, [], key) == ("inserted", 8, 8)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (5, 400), (TILE - 1, TILE), (0, SIZE - 1)])
def test_two_rows_changed_places_is_found(key: RecordKey, table: Table, one: int, other: int) -> None:
    table.rows[one], table.rows[other] = table.rows[other], table.rows[one]
    table.shift()
    table.recompute()
    assert finding(table, [], key) == ("reordered", one, other)


@pytest.mark.parametrize(("here", "there"), [(2, 9), (9, 2), (300, 3)])
def test_one_row_moved_is_found(key: RecordKey, table: Table, here: int, there: int) -> None:
    table.rows.insert(there, table.rows.pop(here))
    table.shift()
    table.recompute()
    place = min(here, there)
    assert finding(table, [], key) == ("reordered", place, there if here < there else there + 1)


def test_a_replaced_row_is_missing(key: RecordKey, table: Table) -> None:
    table.rows[5] = row(5, inside=9)
    table.recompute()
    assert finding(table, [], key) == ("deleted", 5, 5)


@pytest.mark.parametrize("left", [0, 10, TILE, SIZE - 1])
def test_a_cut_tail_is_found_by_the_checkpoint(key: RecordKey, table: Table, left: int) -> None:
    notes = [note(key, table, SIZE)]
    del table.rows[left:]
    table.recompute()
    assert finding(table, notes, key) == ("truncated", left, SIZE - 1)


Attack = Callable[[Table], None]


def edit(table: Table) -> None:
    table.rows[300] = row(300, what="something else")


def drop(table: Table) -> None:
    table.rows.append(row(SIZE, what="one more, so that the count is right"))
    del table.rows[300]


def insert(table: Table) -> None:
    table.rows.insert(300, row(300, what="never happened"))


def swap(table: Table) -> None:
    table.rows[300], table.rows[301] = table.rows[301], table.rows[300]


@pytest.mark.parametrize("attack", [edit, drop, insert, swap])
def test_a_whole_chain_recomputed_is_found_by_the_checkpoint(
    key: RecordKey, table: Table, attack: Attack
) -> None:
    """Numbers, leaves and tiles all fit; only a checkpoint kept elsewhere knows better."""
    notes = [note(key, table, size) for size in (100, TILE, 299, 400, SIZE)]
    attack(table)
    table.recompute(renumber=True)
    for place in range(300):
        table.rows[place] = row(place)
    table.recompute()
    assert verify_journal(table, [], key.vkey).size == len(table.rows)
    assert finding(table, notes, key) == ("rewritten", 299, 399)
    assert finding(table, notes[-1:], key) == ("rewritten", 0, SIZE - 1)


def test_what_came_after_the_last_checkpoint_can_be_rewritten_unseen(key: RecordKey, table: Table) -> None:
    """The limit of every such record, said by `covered`: nobody outside knew these entries yet."""
    notes = [note(key, table, SIZE - 1)]
    before = verify_journal(table, notes, key.vkey)
    table.rows[SIZE - 1] = row(SIZE - 1, what="something else")
    table.recompute()
    after = verify_journal(table, notes, key.vkey)
    assert after.root != before.root
    assert after.covered == before.covered == SIZE - 1
    del table.rows[SIZE - 1]
    assert verify_journal(table, notes, key.vkey).size == SIZE - 1


def test_a_forged_checkpoint_is_found(key: RecordKey, table: Table, tmp_path: Path) -> None:
    impostor = RecordKey.local(tmp_path / "record", key.name)
    good = note(key, table, SIZE)
    for forged in (note(impostor, table, SIZE), good.replace(f"\n{SIZE}\n", f"\n{SIZE - 1}\n"), "nonsense"):
        assert finding(table, [good, forged], key) == ("forged checkpoint", 1, 1)


def test_two_signed_roots_for_one_size_are_found(key: RecordKey, table: Table) -> None:
    first = note(key, table, 100)
    edit(table)
    table.rows[50] = row(50, what="something else")
    table.recompute()
    assert finding(table, [first, note(key, table, 100)], key) == ("rewritten", 0, 99)


def test_a_wrong_verifier_key_is_not_blamed_on_the_checkpoints(key: RecordKey, table: Table) -> None:
    with pytest.raises(InvalidValue, match="verifier key"):
        verify_journal(table, [note(key, table, 8)], "nonsense")
