"""The command line in its own process, with its own state, and plans over the fake engine."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.conftest import POLICY, echo

from bottega.core.brief import Brief, Constraints
from bottega.core.plan import Deliverable, Plan, Step


@dataclass
class Cli:
    """Calls `bottega`; ``state`` and ``home`` are private folders."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])
    within: tuple[str, ...] = ()  # a command that runs the rest of its arguments

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def variables(self) -> dict[str, str]:
        private = {
            "BOTTEGA_STATE": str(self.state),
            "BOTTEGA_HOME": str(self.root / "home"),
            "COLUMNS": "200",
        }
        return {**os.environ, **private, **self.environment}  # noqa: TID251 - what a child process gets

    def start(self, *words: str | Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*self.within, sys.executable, "-m", "bottega", *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd=self.root, env=self.variables,
        )  # fmt: skip

    def __call__(self, *words: str | Path, expect: int = 0) -> "Said":
        process = self.start(*words)
        out, err = process.communicate(timeout=300)
        said = Said(process.returncode, out, err)
        assert said.code == expect, said
        assert "Traceback" not in out + err, said
        return said


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    (tmp_path / "policy.toml").write_text(POLICY)
    return Cli(tmp_path)


def write_plan(
    path: Path,
    steps: Sequence[Step] = (),
    *,
    kind: str = "text",
    goal: str = "say something",
    constraints: Constraints | None = None,
) -> Path:
    """A plan file that delivers every step's text as STEP.txt; by default two steps."""
    steps = steps or (echo("first", "one two"), echo("second", "three four", ("first",)))
    plan = Plan(
        brief=Brief(goal=goal, constraints=constraints or Constraints()),
        steps=tuple(steps),
        deliverables=tuple(
            Deliverable(output=f"{step.id}.text", path=f"{step.id}.txt", title=step.id, kind=kind)
            for step in steps
        ),
    )
    path.write_text(json.dumps(plan.document()))
    return path
