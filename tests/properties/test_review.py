"""Whatever people do, nothing leaves without the approvals that its policy asks for: the real stores against a model."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.pipelines.conftest import echo, plan_of
from tests.unit.pipelines.test_review import CHECKED, Desk

from bottega.core.errors import NotFound, PolicyDenied
from bottega.governance.policy import Policy
from bottega.governance.review import Outcome

ROLES = {"Ada": {"legal"}, "Bo": {"brand"}, "Cy": {"legal", "brand"}, "Di": set[str](), "Ed": {"legal"}}
LOGINS = {"ada": "Ada", "user:BO": "Bo", "Cy": "Cy", "di": "Di", "Ed": "Ed"}
PEOPLE = "".join(f'[[people]]\nname = "{name}"\nroles = {sorted(roles)}\n' for name, roles in ROLES.items())
PLAN = plan_of(echo("a"), kind="press")
EXPIRES = 10  # hours


@dataclass(frozen=True)
class Asks:
    """A rule that asks."""

    approvals: int
    roles: tuple[str, ...]
    self_approval: bool

    def toml(self) -> str:
        table = f"approvals = {self.approvals}, roles = {list(self.roles)}, expires_hours = {EXPIRES}, self_approval = "
        return (
            f'[[rules]]\nname = "r"\nmedia_types = ["*"]\nkinds = ["press"]\n'
            f"review = {{ {table}{str(self.self_approval).lower()} }}\n"
        )


@dataclass
class Model:
    """What the words of the guide say, without tickets, digests or a database."""

    asks: tuple[Asks, ...]
    requester: str
    approvers: set[str] = field(default_factory=set[str])
    rejected: bool = False
    hours: float = 0.0  # since it was opened
    released: bool = False

    def counts(self, name: str, asks: Asks) -> bool:
        allowed = not asks.roles or bool(ROLES[name] & set(asks.roles))
        return allowed and (asks.self_approval or name != self.requester)

    def enough(self) -> bool:
        return all(
            len(good := {name for name in self.approvers if self.counts(name, asks)}) >= asks.approvals
            and set(asks.roles) <= set[str]().union(*(ROLES[name] for name in good))
            for asks in self.asks
        )

    def decide(self, outcome: str, name: str) -> bool:
        """Whether it is taken."""
        able = any(not asks.roles or ROLES[name] & set(asks.roles) for asks in self.asks)
        if self.rejected or self.enough() or name in self.approvers or not able:
            return False
        if outcome == "reject":
            self.rejected = True
        elif any(self.counts(name, asks) for asks in self.asks):
            self.approvers.add(name)
        else:
            return False
        return True

    def pass_time(self, hours: float) -> None:
        self.hours += hours
        if self.hours >= EXPIRES and not self.rejected and not self.released:
            self.approvers, self.hours = set[str](), 0.0

    def work(self) -> str:
        if self.rejected:
            return "failed"
        self.released = self.released or self.enough()
        return "released" if self.released else "awaiting_review"


ASKS = st.builds(
    Asks,
    approvals=st.integers(1, 2),
    roles=st.sampled_from([(), ("legal",), ("brand",), ("legal", "brand")]),
    self_approval=st.booleans(),
)
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["approve"] * 4 + ["reject"]), st.sampled_from(sorted(LOGINS))),
    st.tuples(st.just("wait"), st.sampled_from([1, 6, EXPIRES])),
    st.tuples(st.just("work"), st.none()),
)


@given(
    asks=st.lists(ASKS, min_size=1, max_size=2).map(tuple),
    requester=st.sampled_from(sorted(LOGINS)),
    actions=st.lists(ACTIONS, max_size=10),
)
@settings(max_examples=40, deadline=None)
@example(
    asks=(Asks(2, ("legal", "brand"), False),),
    requester="di",
    actions=[
        ("approve", "ada"),
        ("approve", "user:BO"),
        ("wait", EXPIRES),
        ("work", None),
        ("approve", "Cy"),
    ],
)
@example(
    asks=(Asks(1, ("legal",), True), Asks(2, ("brand",), False)),
    requester="Cy",
    actions=[("approve", "Cy"), ("approve", "user:BO"), ("approve", "ada"), ("reject", "Ed"), ("work", None)],
)
def test_no_decisions_release_a_file_without_the_approvals_that_are_asked_for(
    asks: tuple[Asks, ...], requester: str, actions: list[tuple[str, str | int | None]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        try:
            desk.shop.policy = desk.policy(CHECKED + PEOPLE + "".join(each.toml() for each in asks))
            _compare(desk, Model(asks, LOGINS[requester]), requester, actions)
        finally:
            desk.state.close()


def _compare(desk: Desk, model: Model, requester: str, actions: list[tuple[str, str | int | None]]) -> None:
    def work() -> str:
        return asyncio.run(desk.work(PLAN, actor=requester)).state

    assert work() == model.work() == "awaiting_review"
    for what, with_ in actions:
        if what == "wait":
            assert isinstance(with_, int)
            desk.clock.forward(with_)
            model.pass_time(with_)
        elif what == "work":
            assert work() == model.work()
        else:
            assert isinstance(with_, str)
            outcome = "approve" if what == "approve" else "reject"
            taken = _taken(desk, outcome, with_)
            assert taken == (not model.released and model.decide(what, LOGINS[with_]))
        desk.reviews.queue()  # somebody looks, so what time has brought is applied
    assert work() == model.work()
    desk.folds_again()


def _taken(desk: Desk, outcome: Outcome, who: str) -> bool:
    try:
        desk.reviews.decide(desk.reviews.all()[-1].id, outcome, who, "so")
    except (NotFound, PolicyDenied):
        return False
    return True


def test_the_policies_of_this_test_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(CHECKED + PEOPLE + Asks(2, ("legal", "brand"), False).toml())
    assert len(Policy.load(path).people) == len(ROLES)
