"""No order of reserving, settling, releasing and dying lets an account pass its limit or lose an amount."""

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.servers import PostgresServer

from bottega.bootstrap import now
from bottega.core.entry import Act
from bottega.core.errors import BudgetExceeded
from bottega.storage.accounts import MILLION
from bottega.storage.budgets import Charge
from bottega.storage.state import State, open_state

ACCOUNTS = ("key:ci", "team:home", "project:kettles")
UNITS = ("image", "token", "usd")
STEP = "run/r/step/s"
TABLES = ("accounts", "reservations", "waits")

amounts = st.dictionaries(st.sampled_from(UNITS), st.integers(0, 60), min_size=1)
accounts = st.lists(st.sampled_from(ACCOUNTS), min_size=1, unique=True)


@pytest.fixture
def state(tmp_path: Path, either_database: str) -> Iterator[State]:
    state = open_state(tmp_path, now, url=either_database)
    yield state
    state.close()


def tables(state: State) -> Mapping[str, Sequence[object]]:
    return {table: sorted(state.database.rows(f"SELECT * FROM {table}"), key=repr) for table in TABLES}


class Spending(RuleBasedStateMachine):
    """Accounts beside a model of them that is two dictionaries and a comparison."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = self.database()
        self.state = open_state(Path(self.folder.name), now, url=self.url)
        self.limits: dict[tuple[str, str], int | None] = {}
        self.spent: dict[tuple[str, str], int] = defaultdict(int)
        self.held: dict[int, Charge] = {}
        self.excused: set[tuple[str, str]] = (
            set()
        )  # passed by a use beyond its reservation, or a lowered limit
        self.token = 0

    def database(self) -> str:
        """Where the accounts are: the SQLite file, or an address."""
        return ""

    def reserved(self, account: str, unit: str) -> int:
        return sum(charge.amounts.get(unit, 0) for charge in self.held.values() if account in charge.accounts)

    @rule(
        account=st.sampled_from(ACCOUNTS), unit=st.sampled_from(UNITS), limit=st.none() | st.integers(0, 150)
    )
    def limit(self, account: str, unit: str, limit: int | None) -> None:
        self.state.database.write(
            lambda transaction: self.state.budgets.set_limit(
                transaction, account, unit, limit, near=MILLION, actor="user:test"
            )
        )
        self.limits[account, unit] = limit
        if limit is not None and self.spent[account, unit] + self.reserved(account, unit) > limit:
            self.excused.add((account, unit))
        else:
            self.excused.discard((account, unit))

    @rule(accounts=accounts, amounts=amounts, billed=st.booleans())
    def reserve(self, accounts: list[str], amounts: dict[str, int], billed: bool) -> None:
        self.token += 1
        token, charge = self.token, Charge(tuple(accounts), amounts, billed)
        fits = all(
            (limit := self.limits.get((account, unit))) is None
            or not needed
            or self.spent[account, unit] + self.reserved(account, unit) + needed <= limit
            for account in accounts
            for unit, needed in amounts.items()
        )
        before = tables(self.state)
        try:
            self.state.database.write(
                lambda transaction: self.state.budgets.reserve(transaction, token, charge, STEP, actor="w")
            )
        except BudgetExceeded as refusal:
            assert not fits
            assert tables(self.state) == before
            assert refusal.where in accounts and "bottega budget set" in refusal.remedy
        else:
            assert fits
            self.held[token] = charge

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        if self.held:
            token = data.draw(st.sampled_from(sorted(self.held)))
            within = {
                unit: data.draw(st.integers(0, most)) for unit, most in self.held[token].amounts.items()
            }
            self._settle(token, within)

    @rule(data=st.data(), used=amounts)
    def settle_at_will(self, data: st.DataObject, used: dict[str, int]) -> None:
        if self.held:
            token = data.draw(st.sampled_from(sorted(self.held)))
            charge = self.held[token]
            for account in charge.accounts:
                self.excused |= {
                    (account, unit) for unit, n in used.items() if n > charge.amounts.get(unit, 0)
                }
            self._settle(token, used)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.held:
            token = data.draw(st.sampled_from(sorted(self.held)))
            self.state.database.write(
                lambda transaction: self.state.budgets.release(transaction, token, actor="w")
            )
            del self.held[token]

    @rule()
    def die(self) -> None:
        """The process ends; another takes over everything that is reserved."""
        self.state.close()
        self.state = open_state(Path(self.folder.name), now, url=self.url)
        self.unchanged()
        for token in [*self.held]:
            self._settle(token, None)

    def _settle(self, token: int, used: Mapping[str, int] | None) -> None:
        for _ in range(2):  # the second time changes nothing
            self.state.database.write(
                lambda transaction: self.state.budgets.settle(transaction, token, used, actor="w")
            )
        charge = self.held.pop(token)
        nothing: Mapping[str, int] = {}
        known = used if used is not None else charge.amounts if charge.billed else nothing
        for account in charge.accounts:
            for unit, amount in known.items():
                self.spent[account, unit] += amount

    @invariant()
    def unchanged(self) -> None:
        """The tables say what the model says; nobody is over a limit; the entries add up to the tables."""
        rows = {(row.account, row.unit): row for row in self.state.budgets.all()}
        for (account, unit), row in rows.items():
            assert row.spent == self.spent[account, unit]
            assert row.reserved == self.reserved(account, unit)
            if row.limit is not None and (account, unit) not in self.excused:
                assert row.spent + row.reserved <= row.limit
        assert self.told() == {key: (row.spent, row.reserved) for key, row in rows.items()}

    def told(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Spent and reserved, from the entries alone."""
        spent: dict[tuple[str, str], int] = defaultdict(int)
        holding: dict[tuple[str, int], Mapping[str, int]] = {}
        known: set[tuple[str, str]] = set()
        for entry in self.state.journal.about():
            account = entry.subject.removeprefix("account/")
            known |= {(account, unit) for unit in entry.cost}
            if entry.act is Act.ACCOUNT_SET:
                known.add((account, entry.detail["unit"]))
            elif entry.act is Act.BUDGET_RESERVED:
                holding[account, entry.detail["token"]] = entry.cost
            else:
                holding.pop((account, entry.detail["token"]))
                for unit, amount in entry.cost.items():
                    spent[account, unit] += amount
        return {
            (account, unit): (
                spent[account, unit],
                sum(cost.get(unit, 0) for (who, _), cost in holding.items() if who == account),
            )
            for account, unit in known
        }

    def teardown(self) -> None:
        before = tables(self.state)
        self.state.fold_again()
        assert tables(self.state) == before
        for token in [*self.held]:
            self._settle(token, None)
        assert all(row.reserved == 0 for row in self.state.budgets.all())
        self.state.close()
        self.folder.cleanup()


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_spending_on_postgresql(postgres: PostgresServer) -> None:
    class Here(Spending):
        def database(self) -> str:
            return postgres.url()

    fewer = settings(max_examples=30, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(Here, settings=fewer)  # pyright: ignore[reportUnknownMemberType]


RACER = """
import sys, threading
from pathlib import Path
from bottega.bootstrap import now
from bottega.core.errors import BudgetExceeded
from bottega.storage.budgets import Charge
from bottega.storage.state import open_state

folder, url, first, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
state = open_state(folder, now, url=url)
charge = Charge(("project:kettles", "team:home"), {"usd": 300_000, "token": 7})
won, ready = [], threading.Barrier(count)

def race(token):
    ready.wait()
    try:
        state.database.write(
            lambda transaction: state.budgets.reserve(transaction, token, charge, "run/r/step/s", actor="w"), durable=True
        )
        won.append(token)
    except BudgetExceeded:
        pass

threads = [threading.Thread(target=race, args=(first + index,)) for index in range(count)]
print("ready", flush=True)
sys.stdin.readline()
for thread in threads: thread.start()
for thread in threads: thread.join()
state.close()
print(len(won))
"""


@pytest.mark.parametrize("limit", [5_000_000, 299_999, 1_000_000_000])
def test_two_hundred_at_once_never_pass_a_limit(
    state: State, either_database: str, tmp_path: Path, limit: int
) -> None:
    """200 threads of four processes reserve $0.30 each: as many succeed as the limit holds, and not one more."""
    state.database.write(
        lambda transaction: state.budgets.set_limit(
            transaction, "project:kettles", "usd", limit, near=MILLION, actor="user:test"
        )
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), either_database, str(1000 * number), "50"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    won = [int(racer.communicate("go\n", timeout=120)[0]) for racer in _started(racers)]
    expected = min(limit // 300_000, 200)
    assert sum(won) == expected
    reserved = {(row.account, row.unit): row.reserved for row in state.budgets.all()}
    assert reserved["project:kettles", "usd"] == expected * 300_000
    assert reserved.get(("team:home", "token"), 0) == expected * 7  # all accounts or none
    before = tables(state)
    state.fold_again()
    assert tables(state) == before


def _started(racers: Sequence["subprocess.Popen[str]"]) -> Sequence["subprocess.Popen[str]"]:
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return racers
