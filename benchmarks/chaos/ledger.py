"""What the journal, the stores and the engines' own list tell when all is over."""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.chaos.crew import Kill

from bottega.core.canonical import canonical_json
from bottega.core.entry import Act, Entry
from bottega.governance.audit import verify_journal
from bottega.governance.checkpoint import Checkpoint, RecordKey
from bottega.storage.merkle import root_of
from bottega.storage.schema import FOLDED_TABLES
from bottega.storage.state import State

ENDS = (Act.STEP_FINISHED, Act.STEP_FAILED, Act.STEP_STOPPED, Act.STEP_WAITING, Act.STEP_DELAYED)
PROGRESS = (Act.STEP_LEASED, Act.STEP_REUSED, Act.STEP_PARKED, *ENDS)


class Watchman:
    """Verifies what was added to the journal since it last looked, and signs checkpoints that hold it to that."""

    def __init__(self, state: State, folder: Path) -> None:
        self._state = state
        self._key = RecordKey.local(folder, "chaos.example")
        self._leaves: list[bytes] = []
        self._notes: list[str] = []

    def look(self) -> int:
        """Verify the new entries; gives the number of all.

        Raises:
            AssertionError: an entry is missing, not canonical, or does not fit its hash.
        """
        journal, start = self._state.journal, len(self._leaves)
        for n, entry, leaf in journal.entries(start, journal.size()):
            assert n == len(self._leaves), f"entry {len(self._leaves)} is missing"
            assert hashlib.sha256(b"\0" + entry).digest() == leaf, f"entry {n} does not fit its hash"
            assert canonical_json(json.loads(entry)) == entry, f"entry {n} is not canonical"
            self._leaves.append(leaf)
        return len(self._leaves)

    def sign(self) -> None:
        """Sign a checkpoint over what was seen so far."""
        root, at = root_of(self._leaves).hex(), self._state.journal.now()
        self._notes.append(
            self._key.sign(Checkpoint(origin=self._key.name, size=len(self._leaves), root=root, at=at))
        )

    def look_at_all(self) -> int:
        """Verify every entry, tile and root against all checkpoints; gives their number.

        Raises:
            RecordAltered: the journal does not hold.
        """
        return verify_journal(self._state.journal, self._notes, self._key.vkey).checkpoints


def sound(path: Path, *, quick: bool) -> str:
    """What SQLite says of its file; ``ok`` when it is whole."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"PRAGMA {'quick_check' if quick else 'integrity_check'}").fetchone()[0]


def counted(entries: Sequence[Entry]) -> dict[str, int]:
    """Counters over the journal; those that must be 0 are called so in `benchmarks.chaos.__main__`."""
    finished: dict[str, int] = {}  # key of a step: its first entry
    in_round: Counter[tuple[str, int, str]] = Counter()
    acts = Counter(entry.act for entry in entries)
    lost, judging = set[int](), set[int]()  # tokens
    again = beside = late = silent = 0
    for entry in entries:
        detail, step = entry.detail, not entry.subject.endswith("/@delivery")
        match entry.act:
            case Act.STEP_LEASED:
                if "judges" in detail:  # what is made already, by other sources; it is not made again
                    judging.add(entry.n)
                again += step and entry.n not in judging and detail["key"] in finished
            case Act.STEP_LOST | Act.STEP_DIED:
                lost.add(detail["token"])
                silent += "heartbeat" in entry.why
            case Act.STEP_FINISHED:
                in_round[entry.subject, detail["round"], detail["key"]] += 1
                late += detail["token"] in lost
                beside += (
                    step
                    and detail["token"] not in judging
                    and finished.setdefault(detail["key"], entry.n) < entry.n
                )
            case _:
                pass
    return {
        "journal entries": len(entries),
        "steps finished": acts[Act.STEP_FINISHED],
        "steps taken over from equal ones": acts[Act.STEP_REUSED],
        "leases lost with their worker": acts[Act.STEP_LOST] - silent,
        "leases lost by silence": silent,
        "engine processes that died under a step": acts[Act.STEP_DIED],
        "steps parked after three deaths": acts[Act.STEP_PARKED],
        "steps judged again, because their sources had changed": len(judging),
        "steps finished twice in a round": sum(count - 1 for count in in_round.values()),
        "steps leased again although finished": again,
        "results written under a lost lease": late,
        "equal steps made side by side": beside,
    }


def takeovers(entries: Sequence[Entry], kills: Sequence[Kill]) -> list[tuple[float, float]]:
    """Seconds from each kill that took a lease away until that was noticed, and until somebody had the step again."""
    by_subject: dict[str, list[Entry]] = defaultdict(list)
    leases: dict[int, list[Entry]] = defaultdict(list)  # by process
    ends: dict[int, Entry] = {}  # by token: how the lease was taken away
    for entry in entries:
        if entry.act in PROGRESS:
            by_subject[entry.subject].append(entry)
        if entry.act is Act.STEP_LEASED:
            leases[int(entry.actor.split(":")[-2])].append(entry)
        elif entry.act in (Act.STEP_LOST, Act.STEP_DIED):
            ends[entry.detail["token"]] = entry
    found: list[tuple[float, float]] = []
    for kill in kills:
        for lease in leases[kill.worker]:
            end = ends.get(lease.n)
            wanted = Act.STEP_DIED if kill.what == "engine" else Act.STEP_LOST
            if (
                end is None
                or end.act is not wanted
                or not moment(lease) - 0.001 <= kill.at <= moment(end) + 0.001
            ):
                continue
            following = [entry for entry in by_subject[lease.subject] if entry.n > end.n]
            if following:
                found.append((moment(end) - kill.at, moment(following[0]) - kill.at))
    return found


def moment(entry: Entry) -> float:
    return datetime.fromisoformat(entry.at).timestamp()


def slips(path: Path, entries: Iterable[Entry]) -> dict[str, int]:
    """What the counting engines wrote down themselves: steps made more than once, and begun after they were finished."""
    finished: dict[str, float] = {}
    for entry in entries:
        if entry.act is Act.STEP_FINISHED:
            _, run, _, step = entry.subject.split("/")
            name = step if step.startswith("common") else f"r{run.removeprefix('run-')}.{step}"
            finished.setdefault(name, moment(entry))
    began: Counter[str] = Counter()
    made: Counter[str] = Counter()
    late = 0
    for line in path.read_text().splitlines():
        at, what, name = line.split()
        (began if what == "began" else made)[name] += 1
        late += what == "began" and float(at) > finished.get(name, float("inf")) + 0.001
    return {
        "engine calls begun, by the engines' own list": began.total(),
        "engine calls that came to their end": made.total(),
        "steps made again: killed between making and writing": made.total() - len(made),
        "engine calls begun after the step was finished": late,
    }


def left(state: State, root: Path) -> dict[str, int]:
    """What should not be lying about."""
    folder = root / "state"

    def count(path: Path, pattern: str = "*") -> int:
        return sum(1 for each in path.glob(pattern) if each.name != "lock") if path.is_dir() else 0

    return {
        "leases left": state.database.rows("SELECT COUNT(*) FROM leases")[0][0],
        "scratch folders left": count(folder / "scratch"),
        "half-delivered folders left": count(root / "out", ".*"),
        "workers known that are gone": state.database.rows("SELECT COUNT(*) FROM workers")[0][0],
        "drafts in the store (`gc` collects them)": count(folder / "artifacts" / "incoming"),
    }


def folded_again(state: State) -> int:
    """How many folded tables come out otherwise when the journal is folded again."""

    def tables() -> list[list[Any]]:
        return [sorted(state.database.rows(f"SELECT * FROM {table}"), key=repr) for table in FOLDED_TABLES]

    before = tables()
    state.fold_again()
    return sum(one != other for one, other in zip(before, tables(), strict=True))


def budgets(state: State, entries: Sequence[Entry]) -> dict[str, int]:
    """Whether what was reserved is settled, once, and adds up to what was spent."""
    reserved: Counter[tuple[str, int]] = Counter()
    settled: Counter[tuple[str, int]] = Counter()
    spent: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        if entry.act is Act.BUDGET_RESERVED:
            reserved[entry.subject, entry.detail["token"]] += 1
        elif entry.act is Act.BUDGET_SETTLED:
            settled[entry.subject, entry.detail["token"]] += 1
            for unit, amount in entry.cost.items():
                spent[entry.subject.removeprefix("account/"), unit] += amount
    rows = state.database.rows("SELECT id, unit, spent, reserved FROM accounts")
    return {
        "budget reservations": reserved.total(),
        "budget reservations not settled exactly once": sum(settled[key] != 1 for key in reserved),
        "budget accounts that do not add up": sum(
            held != 0 or paid != spent[account, unit] for account, unit, paid, held in rows
        ),
    }
