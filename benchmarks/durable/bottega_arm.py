"""Bottega: a plan of five steps through the runner, each leased, its result an artifact, its end an entry of the journal."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

from benchmarks.durable.arm import STEPS
from benchmarks.durable.arm import Step as Function

from bottega.bootstrap import now
from bottega.catalog.catalog import Catalog
from bottega.core.brief import Brief
from bottega.core.plan import Deliverable, Plan, Step
from bottega.core.request import Finished, Output, Request
from bottega.core.run import Run
from bottega.engines.base import Bench, Card, Engine, Params, Port
from bottega.governance.policy import Policy
from bottega.pipelines.runner import Runner, Sources
from bottega.pipelines.workshop import Workshop
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.objects import LocalObjects
from bottega.storage.small import SmallObjects
from bottega.storage.state import open_state

PACKAGES: tuple[str, ...] = ()
VARIANTS = {
    "bottega": "a plan of five steps, its runner and journal, WAL; steps committed at NORMAL, the release at FULL; artifacts with fsync",
    "bottega-full": "the same with every commit at FULL",
}


class FunctionParams(Params, frozen=True):
    position: int
    text: str = ""


class FunctionEngine(Engine):
    """Calls the step's function in this process."""

    card: ClassVar[Card] = Card(
        id="function",
        version="1",
        summary="Calls a function",
        modality="text",
        inputs=(Port(name="text", media_types=("text/plain",), required=False),),
        outputs=(Port(name="text", media_types=("text/plain",)),),
        licence="Apache-2.0",
    )
    params: ClassVar[type[Params]] = FunctionParams

    def __init__(self, function: Function) -> None:
        self._function = function

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        params = FunctionParams.model_validate(request.params)
        text = bench.text(request.parts[0]) if request.parts else params.text
        yield Finished(
            port="text", media_type="text/plain", data=self._function(params.position, text).encode()
        )


class BottegaArm:
    def __init__(self, folder: Path, variant: str, step: Function) -> None:
        self.path = folder / "bottega.sqlite"
        self.state = open_state(folder, now)
        if variant == "bottega-full":
            self.state.database.always_durable = True
        self.shop = Workshop(
            artifacts=ArtifactStore(
                SmallObjects(self.state.database, LocalObjects(folder / "artifacts")), folder / "cache"
            ),
            runs=self.state.runs,
            journal=self.state.journal,
            tickets=self.state.tickets,
            workers=self.state.workers,
            catalog=Catalog(folder / "home"),
            policy=Policy(name="none", rules=()),
            scratch=folder / "scratch",
            now=now,
        )
        self.shop._engines["function"] = FunctionEngine(step)  # pyright: ignore[reportPrivateUsage]
        self.loop = asyncio.new_event_loop()

    def run(self, run_id: str, text: str) -> str:
        steps = tuple(
            Step(
                id=f"step{position}",
                engine="function",
                version="1",
                params={"position": position, **({} if position else {"text": text})},
                inputs={"text": (f"step{position - 1}.text",)} if position else {},
            )
            for position in range(STEPS)
        )
        last = Deliverable(output=f"step{STEPS - 1}.text", path="text.txt", title="Text", kind="text")
        plan = Plan(brief=Brief(goal=run_id), steps=steps, deliverables=(last,))
        run = Run(id=run_id, state="planned", plan=plan.identity, brief=plan.brief.identity)
        run = self.state.runs.submit(run, plan, actor="user:bench")
        run = self.loop.run_until_complete(Runner(plan, run, Sources({}, {}, ()), self.shop).work())
        assert run.state == "released", run
        return self.shop.artifacts.read(run.results[-1].outputs[0].artifact).decode()

    def committed(self, run_id: str) -> int:
        reader = sqlite3.connect(self.path)
        count: int = reader.execute(
            "SELECT count(*) FROM steps WHERE run_id = ? AND state = 'done'", (run_id,)
        ).fetchone()[0]
        reader.close()
        return count

    def durability(self) -> str:
        return "wal, synchronous FULL" if self.state.database.always_durable else "wal, NORMAL and FULL"

    def close(self) -> None:
        self.loop.close()
        self.shop.close()
        self.state.close()


def open_arm(folder: Path, variant: str, step: Function) -> BottegaArm:
    return BottegaArm(folder, variant, step)
