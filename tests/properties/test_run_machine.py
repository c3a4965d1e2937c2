"""The core of runs against a model that fits in one's head: several workers, deaths, late writes, clocks that jump."""

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.properties.moves import drawn, moves

from bottega.core.artifact import Artifact
from bottega.core.brief import Brief
from bottega.core.canonical import digest_bytes
from bottega.core.entry import Act
from bottega.core.errors import InvalidBrief, LeaseLost
from bottega.core.plan import Deliverable, Plan, Step
from bottega.core.run import Made, Run, RunState, StepResult, StepState
from bottega.governance.audit import verify_journal
from bottega.governance.checkpoint import RecordKey
from bottega.storage import merkle
from bottega.storage.leases import POISON, Busy, Claim, Lease
from bottega.storage.schema import FOLDED_TABLES
from bottega.storage.state import State, open_state

RUNS = ("one", "two")
STEPS = ("a", "b", "c")
WORDS = ("red", "green")  # what a step says decides its key
CHECKS = "checks"
ENGINES = ("echo", "other")  # by the step's place in the alphabet
ENDS: tuple[StepState, ...] = ("done", "awaiting_review", "failed", "stopped", "delayed")
CLOSES: tuple[RunState, ...] = ("released", "awaiting_review", "failed", "cancelled")

Words = dict[str, str]  # step id to what it says, in the order of the plan
plans = st.dictionaries(st.sampled_from(STEPS), st.sampled_from(WORDS), min_size=1)
mostly = st.sampled_from((True, True, True, False))
seldom = mostly.map(lambda yes: not yes)
numbers = st.integers(0, 1000)  # chooses one of whatever there is


@dataclass
class Row:
    """What the model knows of a step of a run."""

    round: int
    state: str
    key: str
    deaths: int = 0
    delays: int = 0
    wake_at: str = ""
    seen: bool = False  # a person was looking at a result of this key


@dataclass
class Job:
    """What the model knows of a run."""

    brief: str
    plan: Words
    state: str
    round: int
    rounds: list[int] = field(default_factory=list[int])


@dataclass
class Hand:
    """A worker: a state of its own over the same file."""

    state: State
    lock: Path
    alive: bool = True
    signed_off: bool = False


@dataclass(frozen=True)
class Held:
    """A lease, and who got it."""

    lease: Lease
    hand: Hand


class Runs(RuleBasedStateMachine):
    """Rules are what workers, people and accidents do; the model says what must come of it."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name)
        self.loop = asyncio.Runner()
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)
        self.hands: list[Hand] = []
        self.jobs: dict[str, Job] = {}
        self.rows: dict[tuple[str, str], Row] = {}
        self.leases: dict[tuple[str, str], Held] = {}
        self.given: list[Held] = []  # every lease there ever was
        self.finished: dict[tuple[str, str], bool] = {}  # key and run to: other runs may have it

    @initialize(words=plans)
    def begin(self, words: Words) -> None:
        self.vkey = RecordKey.local(self.folder / "keys", "bottega").vkey
        for _ in range(2):
            self.hire()
        self.submit_("one", words, True, False, 0)

    def teardown(self) -> None:
        if self.hands:
            (self.folder / "again").mkdir()
            assert moves(self.hands[0].state, self.folder / "again") <= drawn()
        for hand in self.hands:
            hand.state.close()
        self.loop.close()
        self.place.cleanup()

    def now(self) -> str:
        return self.clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def hire(self) -> None:
        state = open_state(self.folder / "state", self.now, beat=3600)
        locks = self.folder / "state" / "workers"
        before = set(locks.iterdir())
        state.workers.register()
        (lock,) = set(locks.iterdir()) - before
        self.hands.append(Hand(state, lock))

    def someone(self, number: int) -> Hand:
        alive = [hand for hand in self.hands if hand.alive]
        return alive[number % len(alive)]

    def run(self, work: Any) -> Any:
        return self.loop.run(work)

    # What people do

    @rule(run=st.sampled_from(RUNS), words=plans, begin=mostly, release=seldom, who=numbers)
    def submit(self, run: str, words: Words, begin: bool, release: bool, who: int) -> None:
        """Make a run known, or go on with it: with a plan in which steps were inserted, deleted, renamed, reordered."""
        self.submit_(run, words, begin, release, who)

    def submit_(self, run: str, words: Words, begin: bool, release: bool, who: int) -> None:
        store, plan = self.someone(who).state.runs, plan_of(run, words)
        asked = Run(id=run, state="planned", plan=plan.identity, brief=plan.brief.identity)
        got = store.submit(asked, plan, actor="user:ada", begin=begin, release_parked=release)
        job = self.jobs.setdefault(run, Job(plan.brief.identity, words, "", got.round))
        job.plan, job.state = words, "running" if begin else "planned"
        if release:
            for (of, _), row in self.rows.items():
                row.deaths = 0 if of == run else row.deaths
        if begin or not job.rounds:
            assert got.round > max(job.rounds, default=-1)
            job.rounds.append(got.round)
        job.round = got.round
        assert got.state == job.state

    @rule(number=numbers, who=numbers, how=st.sampled_from(("join", "join", "stop", "brief")))
    def interfere(self, number: int, who: int, how: str) -> None:
        """Join a run, ask it to stop, or come with another brief under its id."""
        run, store = pick([*self.jobs], number), self.someone(who).state.runs
        job = self.jobs[run]
        if how == "join":
            got = store.join(run, actor="worker:x")
            if job.state == "planned":
                job.state, job.round = "running", got.round
                job.rounds.append(got.round)
            assert (got.state, got.round) == (job.state, job.round)
        elif how == "stop":
            store.ask_to_stop(run, actor="user:ada")
            job.state = "cancelled" if job.state == "planned" else job.state
            assert store.over(run, job.round)
        else:
            other = plan_of("another", {"a": "red"})
            asked = Run(id=run, state="planned", plan=other.identity, brief=other.brief.identity)
            with pytest.raises(InvalidBrief, match="another brief"):
                store.submit(asked, other, actor="user:ada")

    @rule(number=numbers, who=numbers, late=st.booleans(), state=st.sampled_from(CLOSES), again=mostly)
    def close(self, number: int, who: int, late: bool, state: RunState, again: bool) -> None:
        """End a round, also one that is long over; mostly go on at once."""
        run = pick([*self.jobs], number)
        job, hand = self.jobs[run], self.someone(who)
        round_ = job.rounds[0] if late and job.rounds else job.round
        stored, _ = hand.state.runs.get(run)
        ended = stored.model_copy(update={"round": round_, "state": state})
        hand.state.runs.close(ended, actor=hand.state.workers.id)
        if job.round == round_ and job.state == "running":
            job.state = state
        if again:
            self.submit_(run, job.plan, True, False, who)

    # What workers do

    @rule(
        number=numbers,
        who=numbers,
        steps=st.lists(numbers, min_size=1, max_size=3),
        end=st.sampled_from((*ENDS, "done", "done", "dies", "dies", "kept", "kept", "kept")),
        fresh=mostly,
        reusable=st.booleans(),
        at_once=st.sampled_from((9, 9, 9, 1, 2)),
    )
    def work(
        self, number: int, who: int, steps: list[int], end: Any, fresh: bool, reusable: bool, at_once: int
    ) -> None:
        """Claim steps, also in a round that is long over; end them, keep them, or see their engine's process die."""
        for step in steps * (POISON if end == "dies" else 1):
            held = self.claim_(number, who, step, fresh, at_once)
            if held and end == "dies":
                self.unmade_(held, leaves=False)
            elif held and end != "kept":
                self.finish_(held, end, reusable)

    def claim_(self, number: int, who: int, step: int, fresh: bool, at_once: int) -> Held | None:
        claim, hand = self.wish_(number, step, fresh, at_once), self.someone(who)
        found = self.run(
            hand.state.runs.claim(claim, worker=hand.state.workers.id, host=hand.state.workers.host)
        )
        return self.came_(claim, found, hand)

    def wish_(self, number: int, step: int, fresh: bool = True, at_once: int = 9) -> Claim:
        run = pick([*self.jobs], number)
        job = self.jobs[run]
        name = pick([*job.plan], step)
        round_ = job.round if fresh or not job.rounds else job.rounds[0]
        return Claim(
            run=run, round=round_, step=name, key=plan_of(run, job.plan).step(name).key({}), checks=CHECKS,
            engine=engine_of(name), at_once=at_once, here_at_once=9,
        )  # fmt: skip

    def came_(self, claim: Claim, found: Any, hand: Any) -> Held | None:
        wanted = self.expected(claim, hand)
        match found:
            case Lease():
                assert wanted == ("leased", found.attempt - 1, found.delays, found.before is not None)
                assert all(found.token > other.lease.token for other in self.given)
                held = Held(found, hand)
                self.leases[claim.run, claim.step] = held
                self.given.append(held)
                return held
            case Busy():
                assert wanted == "busy"
            case _:
                assert wanted == found.state
        return None

    def expected(self, claim: Claim, hand: Any) -> Any:
        """What a claim must come to; the model changes with it. A worker that others take for dead holds what it has for itself."""
        place = claim.run, claim.step
        job = self.jobs[claim.run]
        if job.round != claim.round or job.state != "running":
            return "skipped"
        for (run, step), held in [*self.leases.items()]:  # all workers are on one host, all steps are local
            if not held.hand.alive and held.hand is not hand:
                self.drop(run, step, counts=not held.hand.signed_off)
        if place in self.leases:
            return "busy"
        row = self.rows.get(place)
        row = row if row and row.key == claim.key else Row(-1, "", claim.key)
        if row.state == "delayed" and row.wake_at > self.now():
            return "busy"
        if row.round == claim.round and row.state != "delayed":
            return row.state
        if any(
            key == claim.key and (run == claim.run or reusable)
            for (key, run), reusable in self.finished.items()
        ):
            self.rows[place] = Row(claim.round, "reused", claim.key)
            return "reused"
        if row.deaths >= POISON:
            self.rows[place] = Row(claim.round, "parked", claim.key, row.deaths)
            return "parked"
        if sum(engine_of(step) == claim.engine for _, step in self.leases) >= claim.at_once:
            return "busy"
        delays = row.delays if row.round == claim.round else 0
        return "leased", row.deaths, delays, row.seen and row.state in ("awaiting_review", "waiting")

    def drop(self, run: str, step: str, *, counts: bool) -> None:
        """A lease ends without a result."""
        key = self.leases.pop((run, step)).lease.claim.key
        row = self.rows.get((run, step))
        row = row if row and row.key == key else Row(-1, "", key)
        seen = row.seen and row.state in ("awaiting_review", "waiting")
        self.rows[run, step] = Row(-1, "waiting", key, row.deaths + counts, seen=seen)

    @precondition(lambda self: self.given)
    @rule(
        number=numbers,
        end=st.sampled_from((*ENDS, "dies", "leaves")),
        reusable=st.booleans(),
        late=mostly,
        then=st.none() | numbers,
    )
    def end(self, number: int, end: Any, reusable: bool, late: bool, then: int | None) -> None:
        """A worker ends a step, and may claim another with it; also one that was taken for dead, and one that did so before."""
        among = [*self.leases.values()] if late else self.given
        among = [held for held in among if not held.hand.signed_off]
        if among and end in ("dies", "leaves"):
            self.unmade_(pick(among, number), leaves=end == "leaves")
        elif among:
            wished = None if then is None else self.wish_(number, then)
            self.finish_(pick(among, number), end, reusable, wished)

    def finish_(self, held: Held, end: Any, reusable: bool, then: Claim | None = None) -> None:
        lease, store = held.lease, held.hand.state.runs
        claim, place = lease.claim, (lease.claim.run, lease.claim.step)
        until = (self.clock + timedelta(seconds=5)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        until = until if end == "delayed" else ""
        workers = held.hand.state.workers
        work = store.finish(
            lease, result_of(claim, end), worker=workers.id, reusable=reusable, until=until,
            then=then, host=workers.host,
        )  # fmt: skip
        if self.leases.get(place) != held:
            with pytest.raises(LeaseLost):
                self.run(work)
            return
        found = self.run(work)
        del self.leases[place]
        row = self.rows.get(place)
        deaths = row.deaths if row and row.key == claim.key and end != "done" else 0
        delays = lease.delays + 1 if until else 0
        seen = end == "awaiting_review"
        if row is None or row.round <= claim.round:
            self.rows[place] = Row(claim.round, end, claim.key, deaths, delays, until, seen)
        if end == "done":
            self.finished.setdefault((claim.key, claim.run), reusable)
        if then is not None:
            self.came_(then, found, held.hand)

    def unmade_(self, held: Held, *, leaves: bool) -> None:
        lease, store, worker = held.lease, held.hand.state.runs, held.hand.state.workers.id
        place = lease.claim.run, lease.claim.step
        work = store.let_go(lease, worker=worker) if leaves else store.died(lease, {}, worker=worker)
        if self.leases.get(place) != held:
            with pytest.raises(LeaseLost):
                self.run(work)
            return
        self.run(work)
        self.drop(*place, counts=not leaves)

    # Accidents

    @rule(who=numbers, how=st.sampled_from(("dies", "signs off", "comes")))
    def a_worker(self, who: int, how: str) -> None:
        """One that dies leaves its lock to the system and signs nothing; one that signs off is no death of its steps."""
        alive = sum(hand.alive for hand in self.hands)
        if how == "comes" or alive == 1:
            if alive < 3:
                self.hire()
            return
        hand = self.someone(who)
        hand.alive = False
        if how == "dies":
            hand.lock.unlink()
        else:
            hand.state.workers.close()
            hand.signed_off = True

    @rule(seconds=st.sampled_from((1, 6, 60, -6, -3600, 86400)))
    def the_clock_moves(self, seconds: int) -> None:
        """Also backwards."""
        self.clock += timedelta(seconds=seconds)

    # What must hold

    @invariant()
    def the_tables_are_as_the_model_says(self) -> None:
        if not self.hands:
            return
        rows = self.hands[0].state.database.rows
        runs = {run: (job.state, job.round, job.brief) for run, job in self.jobs.items()}
        assert {row[0]: tuple(row[1:]) for row in rows("SELECT id, state, round, brief FROM runs")} == runs
        leases = {
            place: (held.lease.token, held.hand.state.workers.id) for place, held in self.leases.items()
        }
        assert {
            (row[0], row[1]): (row[2], row[3])
            for row in rows("SELECT run_id, step_id, token, worker FROM leases")
        } == leases
        steps = {
            place: (row.round, row.state, row.key, row.deaths, row.delays, row.wake_at)
            for place, row in self.rows.items()
        }
        found = rows("SELECT run_id, step_id, round, state, key, deaths, delays, wake_at FROM steps")
        assert {(row[0], row[1]): tuple(row[2:]) for row in found} == steps

    @invariant()
    def the_journal_holds(self) -> None:
        if not self.hands:
            return
        journal = self.hands[0].state.journal
        entries = journal.about()
        assert [entry.n for entry in entries] == [*range(journal.size())]
        assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
        leaves = [merkle.leaf_hash(text) for _, text, _ in journal.entries(0, journal.size())]
        verified = verify_journal(journal, [], self.vkey)
        assert verified.root == merkle.root_of(leaves).hex()

    @invariant()
    def nothing_is_made_twice(self) -> None:
        if not self.hands:
            return
        done: Counter[tuple[str, int]] = Counter()
        leased: dict[str, int] = {}
        finished: dict[tuple[str, str], bool] = {}
        for entry in self.hands[0].state.journal.about():
            detail: Any = entry.detail
            run = entry.subject.split("/")[1]
            if entry.act is Act.STEP_LEASED:
                assert entry.subject not in leased, "two live leases"
                leased[entry.subject] = entry.n
                assert not any(
                    key == detail["key"] and (run == of or reusable)
                    for (key, of), reusable in finished.items()
                ), "a finished key is leased again"
            elif "token" in detail:
                assert leased.pop(entry.subject) == detail["token"]
            if entry.act is Act.STEP_FINISHED:
                done[entry.subject, detail["round"]] += 1
                finished[detail["key"], run] = detail["reusable"]
        assert all(times == 1 for times in done.values())

    @invariant()
    def folding_again_changes_nothing(self) -> None:
        if not self.hands:
            return
        state = self.hands[0].state
        before = tables(state)
        state.fold_again()
        assert tables(state) == before


def tables(state: State) -> dict[str, list[Any]]:
    return {name: sorted(state.database.rows(f"SELECT * FROM {name}")) for name in FOLDED_TABLES}


def pick(among: list[Any], number: int) -> Any:
    return among[number % len(among)]


def engine_of(step: str) -> str:
    return ENGINES[STEPS.index(step) % len(ENGINES)]


def plan_of(run: str, words: Words) -> Plan:
    steps = tuple(
        Step(id=name, engine=engine_of(name), params={"text": word}) for name, word in words.items()
    )
    last = Deliverable(output=f"{steps[-1].id}.text", path="text.txt", title="Text", kind="text")
    return Plan(brief=Brief(goal=f"the goal of {run}"), steps=steps, deliverables=(last,))


def result_of(claim: Claim, state: StepState) -> StepResult:
    made: tuple[Made, ...] = ()
    if state in ("done", "awaiting_review"):
        artifact = Artifact(sha256=digest_bytes(claim.key.encode()), media_type="text/plain", size=1)
        made = (Made(port="text", artifact=artifact),)
    return StepResult(step=claim.step, key=claim.key, state=state, outputs=made)


TestRuns = Runs.TestCase
TestRuns.settings = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
