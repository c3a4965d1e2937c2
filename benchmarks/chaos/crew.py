"""The processes that work, and what is done to them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos.nest import Nest, Nestling

PLUGIN = Path(__file__).parent / "plugin"


@dataclass(frozen=True)
class Kill:
    """One blow. ``worker`` is the process that held leases."""

    at: float  # seconds since 1970
    what: str
    worker: int


@dataclass
class Crew:
    """Workers, one submitter, and at times a `bottega make` in the foreground, all over one state.

    ``setting`` are environment variables. Every process but the engines' is a group of its own.
    """

    root: Path
    setting: Mapping[str, str]
    workers: list[Nestling] = field(default_factory=list[Nestling])
    makes: list[Nestling] = field(default_factory=list[Nestling])
    submitter: Nestling | None = None
    waiting: list[Sequence[Any]] = field(
        default_factory=list[Sequence[Any]]
    )  # submitted, not yet said to be safe
    kills: list[Kill] = field(default_factory=list[Kill])

    def __post_init__(self) -> None:
        """Start the process that forks the others."""
        self._nest = Nest(self.setting)

    def start(self, *words: str, log: str, module: str = "bottega", heard: bool = False) -> Nestling:
        """A process of ours; what it says goes to a log that all of its kind share, unless it is heard."""
        return self._nest.start(module, words, self.root / log, heard=heard)

    def keep(self, count: int) -> None:
        """As many workers as there are to be; those that ended are followed by new ones."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < count:
            self.workers.append(
                self.start("worker", "--policy", str(self.root / "policy.toml"), log="workers.log")
            )

    def submit(self, *what: Any) -> None:
        """Hand a run to the submitter: its id, plan file, folder and options."""
        self.waiting.append(what)
        if self.submitter is not None:
            self._tell(what)

    def keep_submitter(self) -> None:
        """One that was killed is followed by another, which is told of all that was not said to be safe."""
        if self.submitter is None or self.submitter.poll() is not None:
            policy = str(self.root / "policy.toml")
            self.submitter = self.start(
                policy, log="submit.log", module="benchmarks.chaos.submit", heard=True
            )
            for what in self.waiting:
                self._tell(what)

    def heard(self) -> None:
        """Take note of what the submitter said is safe."""
        if self.submitter is not None:
            safe = self.submitter.said()
            self.waiting = [what for what in self.waiting if what[0] not in safe]

    def kill(self, worker: Nestling, *, group: bool = False) -> None:
        """Kill a worker, or all of its group."""
        self.note("group" if group else "worker", worker)
        worker.kill(group=group)
        worker.wait()

    def kill_engine(self, worker: Nestling, choice: float) -> bool:
        """Kill one of the engine processes of a worker, if there is one."""
        engines = list(children(worker.pid))
        if not engines:
            return False
        self.note("engine", worker)
        with suppress(ProcessLookupError):
            os.kill(engines[int(choice * len(engines))], signal.SIGKILL)
        return True

    def note(self, what: str, worker: Nestling) -> None:
        """Write a blow down."""
        self.kills.append(Kill(time.time(), what, worker.pid))

    def kill_other(self, process: Nestling, what: str) -> None:
        """Kill a submitter or a `make`."""
        self.note(what, process)
        process.kill()
        process.wait()

    def end(self) -> None:
        """Ask all to leave, and kill who does not."""
        everybody = [*self.workers, *self.makes, *filter(None, [self.submitter])]
        for process in everybody:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in everybody:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.workers, self.makes, self.submitter = [], [], None

    def close(self) -> None:
        """End everything."""
        self.end()
        self._nest.close()

    def _tell(self, what: Sequence[Any]) -> None:
        assert self.submitter is not None
        with suppress(OSError):  # it was killed: the next one is told
            self.submitter.tell(f"{json.dumps(what)}\n")


def children(pid: int) -> Iterator[int]:
    """The engine processes of a process."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                if b"process_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    yield int(child)


def install() -> None:
    """Make the counting engines known to this process and to those that it starts."""
    sys.path.insert(0, str(PLUGIN))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])])
