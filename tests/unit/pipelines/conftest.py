"""A workshop with the fake engine and a small policy, and plans over it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bottega.bootstrap import now
from bottega.catalog.catalog import Catalog
from bottega.core.brief import Brief, Constraints
from bottega.core.plan import Deliverable, Plan, Step
from bottega.core.run import Run
from bottega.governance.policy import Policy
from bottega.pipelines.runner import Event, Runner, Sources
from bottega.pipelines.workshop import Workshop
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.state import open_state

POLICY = """
format = "bottega.policy/1"
name = "test"
[[rules]]
name = "texts"
media_types = ["text/plain"]
checks = { length = { min_words = 2 } }
[[rules]]
name = "shown"
media_types = ["text/plain"]
kinds = ["shown_to_a_person"]
review = true
"""


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Iterator[Workshop]:
    (tmp_path / "policy.toml").write_text(POLICY)
    state = open_state(tmp_path / "state", now, url=database_url)
    yield Workshop(
        artifacts=ArtifactStore(tmp_path / "artifacts"),
        runs=state.runs,
        journal=state.journal,
        tickets=state.tickets,
        workers=state.workers,
        catalog=Catalog(tmp_path / "home"),
        policy=Policy.load(tmp_path / "policy.toml"),
        scratch=tmp_path / "scratch",
        now=now,
    )
    state.close()


def echo(step_id: str, text: str = "two words", after: tuple[str, ...] = (), **more: object) -> Step:
    """A step of the fake engine, checked by length."""
    fields: dict[str, object] = {
        "id": step_id,
        "engine": "echo",
        "params": {"text": text},
        "inputs": {"text": tuple(f"{name}.text" for name in after)} if after else {},
        "checks": {"length": {"min_words": 2}},
    }
    return Step.model_validate(fields | more)


def plan_of(*steps: Step, constraints: Constraints | None = None, kind: str = "text") -> Plan:
    """A plan that delivers the last step's text."""
    return Plan(
        brief=Brief(goal="say something", constraints=constraints or Constraints()),
        steps=steps,
        deliverables=(Deliverable(output=f"{steps[-1].id}.text", path="text.txt", title="Text", kind=kind),),
    )


Work = Callable[..., "Runner"]


@pytest.fixture
def runner(shop: Workshop) -> Work:
    """A runner for a plan; the same run id goes on with the same run."""

    def make(plan: Plan, run_id: str = "run", watch: Callable[[Event], None] = lambda event: None) -> Runner:
        run = Run(id=run_id, state="planned", plan=plan.identity, brief=plan.brief.identity)
        return Runner(plan, shop.runs.submit(run, plan, actor="user:test"), Sources({}, {}, ()), shop, watch)

    return make
