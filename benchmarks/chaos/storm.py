"""One storm: plans in a stream, workers that are killed at random, and what is left when it is over."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.chaos.crew import Crew
from benchmarks.chaos.ledger import Watchman, budgets, counted, folded_again, left, slips, sound, takeovers
from benchmarks.chaos.nest import Nestling
from benchmarks.chaos.plans import POLICY, Mixture

from bottega.bootstrap import build
from bottega.core.errors import NotFound
from bottega.settings import Settings

WORKERS = 2
SILENCE = "1"
MOST_IDLE = 30.0  # seconds that a blow waits for work to be going on
BLOWS = {"worker": 50, "group": 15, "engine": 20, "stop": 8, "submitter": 4, "make": 3}

ZERO = (
    "runs lost",
    "steps finished twice in a round",
    "steps leased again although finished",
    "results written under a lost lease",
    "files and steps with other content than undisturbed",
    "budget reservations not settled exactly once",
    "budget accounts that do not add up",
    "leases left",
    "scratch folders left",
    "half-delivered folders left",
    "folded tables that differ from the journal",
)


@dataclass
class Storm:
    """A storm over one state.

    ``pause`` is the mean number of seconds between two blows, ``at_hand`` the number of runs that are not finished at a
    time. ``upset`` disturbs the database, when given.
    """

    root: Path
    mixture: Mixture
    kills: int
    pause: float = 0.55
    at_hand: int = 10
    database: str = ""
    upset: Callable[[], None] | None = None
    say: Callable[[str], None] = lambda text: None
    _numbers: list[int] = field(default_factory=list[int])

    def blow(self) -> dict[str, Any]:
        """Blow until so many processes were killed, let what is left be finished, and count.

        Raises:
            AssertionError: the record does not verify, or SQLite's file is damaged, after one of the kills.
        """
        (self.root / "out").mkdir(parents=True)
        (self.root / "plans").mkdir()
        (self.root / "policy.toml").write_text(POLICY)
        setting = {
            "BOTTEGA_STATE": str(self.root / "state"),
            "BOTTEGA_SILENCE": SILENCE,
            "BOTTEGA_LIMITS": "local=6,slip=4,slip_apart=2",
            "BOTTEGA_DATABASE": self.database,
        }
        self._crew = Crew(self.root, setting)
        self._random = Random(self.mixture.seed)
        self._stopped: list[tuple[float, Nestling]] = []
        settings = replace(Settings(), state=self.root / "state", database=self.database)
        self._service = build(settings, policy=self.root / "policy.toml")
        self._watchman = Watchman(self._service.state, self.root / "record")
        started = time.monotonic()
        try:
            self._rage()
            raged = time.monotonic() - started
            self._calm()
            facts = self._count()
        finally:
            self._crew.close()
            self._service.close()
        blows = Counter(kill.what for kill in self._crew.kills)
        return {
            "seconds": round(raged),
            "kills": blows.total() - blows["stop"],
            **{f"kills: {what}": count for what, count in sorted(blows.items()) if what != "stop"},
            "stopped for a while (SIGSTOP, SIGCONT)": blows["stop"],
            **facts,
        }

    def _rage(self) -> None:
        crew, number = self._crew, 0
        done = 0
        while done < self.kills:
            crew.keep(WORKERS)
            crew.keep_submitter()
            crew.heard()
            while self._unfinished() + len(crew.waiting) < self.at_hand:
                self._submit(number)
                number += 1
            self._sleep(self._random.expovariate(1 / self.pause) + (4.0 if done % 40 == 39 else 0.0))
            self._await_work()
            self._strike()
            done = sum(kill.what != "stop" for kill in crew.kills)
            crew.keep(WORKERS)
            size = self._watchman.look()
            if not self.database and done % 10 == 0:
                assert (said := sound(self._file, quick=True)) == "ok", said
            if self.upset is not None and done % 100 == 50:
                self.upset()
            if done % 50 == 0:
                self._watchman.sign()
                self.say(f"{done} kills, {number} runs, {size} entries")

    def _submit(self, number: int) -> None:
        self._numbers.append(number)
        plan = self.root / "plans" / f"{number}.json"
        plan.write_bytes(self.mixture.plan(number).canonical())
        out = self.root / "out" / str(number)
        if number % 25 == 24:
            words = ("--plan", str(plan), "--out", str(out), "--run-id", f"run-{number}", "--yes", "--json")
            policy = str(self.root / "policy.toml")
            self._crew.makes.append(self._crew.start("make", *words, "--policy", policy, log="makes.log"))
        else:
            self._crew.submit(f"run-{number}", str(plan), str(out), {"charge": ["project:chaos"]})

    def _strike(self) -> None:
        crew, random = self._crew, self._random
        what = random.choices([*BLOWS], [*BLOWS.values()])[0]
        choice, worker = random.random(), random.choice(self._victims())
        makes = [make for make in crew.makes if make.poll() is None]
        if what == "stop" and worker.poll() is None:
            crew.note("stop", worker)
            worker.send_signal(signal.SIGSTOP)
            self._stopped.append((time.monotonic() + 8 * choice, worker))
        elif what == "submitter" and crew.submitter is not None and crew.submitter.poll() is None:
            crew.kill_other(crew.submitter, "submitter")
        elif what == "make" and makes:
            crew.kill_other(makes[0], "make")
        elif what != "engine" or not crew.kill_engine(worker, choice):
            crew.kill(worker, group=what == "group")

    def _await_work(self) -> None:
        """On a busy machine a worker takes longer to start than a blow to come: wait until one of these holds a lease."""
        until = time.monotonic() + MOST_IDLE
        while not self._busy() and time.monotonic() < until:
            self._crew.keep(WORKERS)
            self._crew.heard()
            self._sleep(0.1)

    def _busy(self) -> list[Nestling]:
        rows = self._service.state.database.rows("SELECT DISTINCT worker FROM leases")
        holders = {int(worker.split(":")[-2]) for (worker,) in rows}
        return [worker for worker in self._crew.workers if worker.pid in holders]

    def _victims(self) -> list[Nestling]:
        """Mostly those that hold a lease: to kill one that is only starting proves little."""
        busy = self._busy()
        return busy if busy and self._random.random() < 0.8 else self._crew.workers

    def _sleep(self, seconds: float) -> None:
        """Wait; who was stopped for a while goes on when its time is over."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            due = [process for at, process in self._stopped if at <= now]
            for process in due:
                process.send_signal(signal.SIGCONT)
            self._stopped = [(at, process) for at, process in self._stopped if at > now]
            time.sleep(min([0.05, until - now]))

    def _calm(self) -> None:
        """Submit what was not said to be safe, and work until nothing is left; an operator releases what is parked."""
        crew = self._crew
        crew.end()
        crew.keep_submitter()
        while crew.waiting:
            crew.heard()
            time.sleep(0.05)
        self._work_off()
        self._parked = [run.id for run in self._service.runs() if run.state == "failed"]
        resume = ("--retry-parked", "--why", "killed by chance", "--policy", str(self.root / "policy.toml"))
        for few in (self._parked[index : index + 4] for index in range(0, len(self._parked), 4)):
            for process in [crew.start("resume", run_id, *resume, log="makes.log") for run_id in few]:
                process.wait(120)
        self._work_off()

    def _work_off(self) -> None:
        policy = str(self.root / "policy.toml")
        for process in [
            self._crew.start("worker", "--once", "--policy", policy, log="workers.log")
            for _ in range(WORKERS)
        ]:
            process.wait(600)

    def _count(self) -> dict[str, Any]:
        state = self._service.state
        self._watchman.look()
        self._watchman.sign()
        checkpoints = self._watchman.look_at_all()
        if not self.database:
            assert (said := sound(self._file, quick=False)) == "ok", said
        entries = state.journal.about()
        runs = {run.id: run for run in self._service.runs()}
        waited = takeovers(entries, self._crew.kills)
        wrong = asyncio.run(self._compared())
        return {
            "checkpoints signed on the way that the record agrees with": checkpoints,
            "runs": len(runs),
            "runs lost": sum(run.state != "released" for run in runs.values())
            + sum(f"run-{number}" not in runs for number in self._numbers if number % 25 != 24),
            **counted(entries),
            **slips(self.root / "slips", entries),
            "runs that an operator released (--retry-parked)": len(self._parked),
            "files and steps with other content than undisturbed": wrong,
            **budgets(state, entries),
            **left(state, self.root),
            "folded tables that differ from the journal": folded_again(state),
            "leases taken away by a kill": len(waited),
            **spread("seconds until it was noticed", [noticed for noticed, _ in waited]),
            **spread("seconds until the step went on", [again for _, again in waited]),
        }

    async def _compared(self) -> int:
        """Run the same plans where nobody disturbs them; how many step results and delivered files differ."""
        calm = replace(Settings(), state=self.root / "calm", database="", limits={"local": 6, "slip": 4})
        service = build(calm, policy=self.root / "policy.toml")
        mixture = replace(self.mixture, slips="")
        wrong = 0
        for number in self._numbers:
            try:
                run, _ = self._service.shop.runs.get(f"run-{number}")
            except NotFound:
                continue
            calm_run = (await service.make(mixture.plan(number), None)).run
            assert calm_run.state == "released", calm_run.reason
            expected = digests(calm_run.results)
            wrong += digests(run.results) != expected
            manifest = self.root / "out" / str(number) / "manifest.json"
            delivered: list[dict[str, str]] = (
                json.loads(manifest.read_text())["artifacts"] if manifest.is_file() else []
            )
            wrong += not delivered
            for file in delivered:
                digest = file.get("content_digest") or file["made_sha256"]
                wrong += expected[file["output"]] != digest.removeprefix("sha256:")
                wrong += not (manifest.parent / file["path"]).is_file()
        service.close()
        return wrong

    def _unfinished(self) -> int:
        return len(self._service.shop.runs.unfinished())

    @property
    def _file(self) -> Path:
        return self.root / "state" / "bottega.sqlite"


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    ranked = sorted(values)
    shares = (("p50", 0.5), ("p99", 0.99), ("max", 1.0)) if ranked else ()
    return {
        f"{name}, {label}": round(ranked[min(int(share * len(ranked)), len(ranked) - 1)], 2)
        for label, share in shares
    }


def digests(results: Any) -> Mapping[str, str]:
    return {
        f"{result.step}.{made.port}": made.artifact.sha256 for result in results for made in result.outputs
    }
