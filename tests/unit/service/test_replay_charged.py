"""Who replays a run pays for it, on both databases, whoever paid for the run."""

import pytest
from tests.unit.pipelines.conftest import echo, plan_of

from bottega.core.entry import Act
from bottega.core.errors import BudgetExceeded, InvalidValue, RateLimited
from bottega.service import Bottega
from bottega.storage.accounts import MILLION

RUN, CHECK = "project:kettles", "team:audit"
PLAN = plan_of(echo("a", "one two"), echo("b", "three four", ("a",)))
FIRST, SECOND = 2, 3  # what the fake engine says that its steps wrote, in words
CEILING = len(b"one two") + 400  # what the fake engine says that its first step may write, in words


@pytest.fixture
def database_url(either_database: str) -> str:
    """Money is the same on both."""
    return either_database


def words(service: Bottega, account: str) -> tuple[int, int]:
    """What was spent and is reserved, in words."""
    (row,) = [row for row in service.state.budgets.all() if (row.account, row.unit) == (account, "word")]
    return row.spent // MILLION, row.reserved // MILLION


def acts(service: Bottega, account: str) -> list[Act]:
    return [entry.act for entry in service.state.journal.about(f"account/{account}")]


async def test_each_step_is_reserved_and_settled(service: Bottega) -> None:
    await service.make(PLAN, None, run_id="mine", charge=[RUN])
    before = words(service, RUN)
    report = await service.replay("mine", charge=[CHECK])
    assert report.finding == "identical"
    assert words(service, CHECK) == before == words(service, RUN) == (FIRST + SECOND, 0)
    assert acts(service, CHECK) == [Act.BUDGET_RESERVED, Act.BUDGET_SETTLED] * 2
    told = service.state.journal.about(f"run/{report.replay}")
    assert [entry.detail["charge"] for entry in told if entry.act is Act.STEP_LEASED] == [[CHECK]] * 2
    assert {entry.behalf for entry in told if entry.act is Act.STEP_LEASED} == {service.actor}
    assert (await service.replay("mine")).finding == "identical"  # and nobody is charged whom nobody names
    assert words(service, CHECK) == before == words(service, RUN)
    with pytest.raises(InvalidValue, match="is no account"):
        await service.replay("mine", charge=["audit"])


async def test_an_exhausted_budget_refuses_it_and_asks_nobody(service: Bottega) -> None:
    await service.make(PLAN, None, run_id="mine", charge=[CHECK])
    service.budgets().set(CHECK, "word", FIRST + SECOND + CEILING)
    seen: list[str] = []
    with pytest.raises(
        BudgetExceeded, match=f"the budget {CHECK} has {CEILING - FIRST} word left"
    ) as refused:
        await service.replay("mine", charge=[RUN, CHECK], watch=lambda event: seen.append(event.step))
    assert refused.value.where == "step 'b'" and "bottega budget set" in refused.value.remedy
    assert set(seen) == {"a"}
    assert words(service, CHECK) == (
        FIRST + SECOND + FIRST,
        0,
    )  # what was made is paid, and nothing stays reserved
    assert Act.BUDGET_REFUSED in acts(service, CHECK)
    assert service.reviews().all() == [] and [run.id for run in service.runs()] == ["mine"]
    assert service.state.database.rows("SELECT * FROM leases") == []
    assert service.state.database.rows("SELECT * FROM waits") == []
    service.budgets().set(CHECK, "word", 10 * CEILING)
    assert (await service.replay("mine", charge=[CHECK])).finding == "identical"
    assert service.audit.verify().rows > 0


async def test_a_limit_that_renews_itself_says_when_to_come_back(service: Bottega) -> None:
    await service.make(PLAN, None, run_id="mine", charge=[CHECK])
    service.budgets().set(CHECK, "word", 418, period="hour")  # room for either step, and not for both
    with pytest.raises(RateLimited) as refused:
        await service.replay("mine", charge=[CHECK])
    assert refused.value.retry_after is not None and refused.value.retry_after >= 1
    assert words(service, CHECK) == (FIRST, 0)
