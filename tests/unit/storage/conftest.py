"""States over one file, as several processes have them, and runs of a few steps in them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bottega.core.artifact import Artifact
from bottega.core.brief import Brief
from bottega.core.canonical import digest_bytes
from bottega.core.plan import Deliverable, Plan, Step
from bottega.core.run import Made, Run, StepResult, StepState
from bottega.storage.leases import Busy, Claim, Lease
from bottega.storage.state import State, open_state


@dataclass
class Clock:
    """A clock that goes only when told, in either direction."""

    at: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def __call__(self) -> str:
        return self.after(0)

    def after(self, seconds: float) -> str:
        later = self.at + timedelta(seconds=seconds)
        return later.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workers(tmp_path: Path, clock: Clock) -> Iterator[Callable[[], State]]:
    """Call it for one more worker: a state of its own over the same file."""
    states: list[State] = []

    def hire() -> State:
        states.append(open_state(tmp_path / "state", clock, beat=3600))
        states[-1].workers.register()
        return states[-1]

    yield hire
    for state in states:
        state.close()


def die(state: State, folder: Path) -> None:
    """What others see of a worker that was killed: its lock is given back, its beat stands still."""
    for lock in (folder / "state" / "workers").glob(f"*{state.workers.id.rpartition(':')[2]}"):
        lock.unlink()


def submit(state: State, *words: str, run: str = "run", begin: bool = True, **how: Any) -> Run:
    """A run whose steps a, b, c say these words; the words decide their keys."""
    steps = tuple(
        Step(id="abcdef"[place], engine="echo", params={"text": word}) for place, word in enumerate(words)
    )
    last = Deliverable(output=f"{steps[-1].id}.text", path="text.txt", title="Text", kind="text")
    plan = Plan(brief=Brief(goal="say something"), steps=steps, deliverables=(last,))
    asked = Run(id=run, state="planned", plan=plan.identity, brief=plan.brief.identity)
    return state.runs.submit(asked, plan, actor="user:ada", begin=begin, **how)


def claim_of(run: Run, step: str, word: str, **fields: Any) -> Claim:
    key = digest_bytes(word.encode())
    about: dict[str, Any] = {"checks": "none", "engine": "echo", "at_once": 9, "here_at_once": 9}
    return Claim(run=run.id, round=run.round, step=step, key=key, **(about | fields))


async def claim(state: State, run: Run, step: str, word: str, **fields: Any) -> Lease | StepResult | Busy:
    return await state.runs.claim(
        claim_of(run, step, word, **fields), worker=state.workers.id, host=state.workers.host
    )


async def lease(state: State, run: Run, step: str, word: str, **fields: Any) -> Lease:
    found = await claim(state, run, step, word, **fields)
    assert isinstance(found, Lease)
    return found


async def finish(state: State, lease: Lease, end: StepState = "done", **how: Any) -> None:
    made: tuple[Made, ...] = ()
    if end in ("done", "awaiting_review"):
        artifact = Artifact(sha256=lease.claim.key, media_type="text/plain", size=1)
        made = (Made(port="text", artifact=artifact),)
    result = StepResult(step=lease.claim.step, key=lease.claim.key, state=end, outputs=made)
    await state.runs.finish(lease, result, worker=state.workers.id, **how)


def step_state(state: State, step: str, run: str = "run") -> str:
    rows = state.database.rows("SELECT state FROM steps WHERE run_id = ? AND step_id = ?", run, step)
    return rows[0][0] if rows else ""
