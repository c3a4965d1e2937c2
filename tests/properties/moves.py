"""How runs and steps moved from state to state: read from a journal, entry by entry."""

import re
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

from bottega.core.entry import Act
from bottega.storage import schema
from bottega.storage.database import Transaction
from bottega.storage.fold import ENDED, STEP_STATES, fold
from bottega.storage.journal import Line
from bottega.storage.sqlite import SQLite
from bottega.storage.state import State

DOCUMENT = Path(__file__).parents[2] / "docs" / "runs.md"
NOWHERE = "[*]"
RUN_ACTS = {Act.RUN_SUBMITTED, Act.RUN_BEGUN, Act.RUN_STOP_ASKED, Act.RUN_EXPIRED, *ENDED}
STEP_ACTS = {Act.STEP_LEASED, Act.STEP_LOST, Act.STEP_DIED, *STEP_STATES}


class Move(NamedTuple):
    """``what`` is run or step; an act moved it from one state to another."""

    what: str
    before: str
    act: str
    after: str


def moves(state: State, folder: Path) -> set[Move]:
    """Every move that the journal tells of; its entries are folded again, one by one, into a fresh database."""
    database = SQLite(folder / "moves.sqlite")
    found: set[Move] = set()

    def work(transaction: Transaction) -> None:
        for statement in database.statements(schema.FOLDED):
            transaction.execute(statement)
        for entry in state.journal.about():
            line = Line(entry.n, entry.at, entry.act, entry.actor, entry.subject, entry.detail, entry.cost)
            before = _where(transaction, line)
            fold(transaction, line)
            if entry.act in RUN_ACTS | STEP_ACTS:
                what = "run" if entry.act in RUN_ACTS else "step"
                found.add(Move(what, before, entry.act.value, _where(transaction, line)))

    try:
        database.write(work)
    finally:
        database.close()
    return found


@cache
def drawn() -> frozenset[Move]:
    """Every move that `docs/runs.md` draws: ``before --> after: act, act``; a group of states stands for each of them."""
    found: set[Move] = set()
    for picture in re.findall(r"```mermaid\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL):
        groups = {
            name: body.split() for name, body in re.findall(r"state (\w+) \{\n(.*?)\}", picture, re.DOTALL)
        }
        for before, after, acts in re.findall(r"^ *(\S+) --> (\S+): (.+)$", picture, re.MULTILINE):
            for one, other, act in product(
                groups.get(before, [before]), groups.get(after, [after]), acts.split(", ")
            ):
                found.add(Move(act.partition(":")[0], one, f"pipeline:{act}", other))
    return frozenset(found)


def written() -> set[Move]:
    """The same moves as the plain-text pictures have them: ``before -- act --> after``."""
    found: set[Move] = set()
    for picture in re.findall(r"```text\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL):
        lines = re.findall(r"^(\S+) +-- (\S+) -*> +(\S+)(.*)$", picture, re.MULTILINE)
        edges = [number for number, line in enumerate(lines) if line[3].endswith("--+")]
        first, last = edges  # what stands between them is the group
        group = {line[2] for line in lines[first : last + 1]}
        for before, act, after, _ in lines:
            for one in group if before in ("ended", "settled") else [before]:
                found.add(Move(act.partition(":")[0], one, f"pipeline:{act}", after))
    return found


def _where(transaction: Transaction, line: Line) -> str:
    if line.act in RUN_ACTS:
        run = line.subject.split("/")[1]
        row = transaction.execute("SELECT state FROM runs WHERE id = ?", (run,)).fetchone()
    elif line.act in STEP_ACTS:
        _, run, _, step = line.subject.split("/")
        row = transaction.execute(
            "SELECT 'leased' FROM leases WHERE run_id = ? AND step_id = ?", (run, step)
        ).fetchone() or transaction.execute(
            "SELECT state FROM steps WHERE run_id = ? AND step_id = ?", (run, step)
        ).fetchone()  # fmt: skip
    else:
        return ""
    return row[0] if row else NOWHERE
