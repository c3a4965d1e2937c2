"""What was made then and what is made now: the same bytes, or the reasons that the record gives for other ones."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from bottega.core.entry import Act, Entry
from bottega.core.plan import Step
from bottega.core.run import StepResult
from bottega.core.value import JsonObject, Value
from bottega.engines.base import Card
from bottega.storage.journal import Detail, Journal

Cause = Literal[
    "input", "weights", "version", "build", "remote", "chance", "threads", "cpu", "machine", "attempts",
    "unexplained",
]  # fmt: skip
Outcome = Literal["same", "differs", "not made", "not recorded"]
Finding = Literal["identical", "explained", "incomplete", "unexplained"]


class Reason(Value, frozen=True):
    """Why bytes differ. ``input``: what arrived differed already, so this is a consequence."""

    cause: Cause
    words: str


class Compared(Value, frozen=True):
    """One step: SHA-256 of each output by port, then and now."""

    step: str
    engine: str
    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    error: str = Field(default="", description="why it was not made, or was not made then")
    then: dict[str, str] = Field(default_factory=dict)
    now: dict[str, str] = Field(default_factory=dict)


class Replayed(Value, frozen=True):
    """What came of a replay. ``steps`` stand so that each comes after those it needs.

    ``finding``: ``identical``; ``explained``, when the record holds a reason for every difference; ``incomplete``,
    when a step was not made; ``unexplained``, when an engine that declares that it repeats itself did not.
    """

    run: str
    replay: str = Field(description="id under which the journal tells of the replay")
    finding: Finding
    first: str = Field(default="", description="the first step that differs or was not made")
    steps: tuple[Compared, ...]


def summed(run: str, replay: str, steps: Sequence[Compared]) -> Replayed:
    """The steps and what they come to."""
    astray = [each for each in steps if each.outcome in ("differs", "not made")]
    finding: Finding = "explained" if astray else "identical"
    if any(each.outcome == "not made" for each in astray):
        finding = "incomplete"
    if any(reason.cause == "unexplained" for each in astray for reason in each.reasons):
        finding = "unexplained"
    first = astray[0].step if astray else ""
    return Replayed(run=run, replay=replay, finding=finding, first=first, steps=tuple(steps))


def compared(step: Step, then: Mapping[str, str], now: StepResult, reasons: Iterable[Reason]) -> Compared:
    """Compare digests by port; ``reasons`` are looked at only if they differ."""
    made = digests(now)
    if now.state not in ("done", "reused") or not then.keys() <= made.keys():
        error = now.error or f"it did not make {', '.join(sorted(then.keys() - made.keys()))}"
        return Compared(step=step.id, engine=step.engine, outcome="not made", error=error, then=dict(then))
    made = {port: sha256 for port, sha256 in made.items() if port in then}
    same = made == then
    return Compared(
        step=step.id,
        engine=step.engine,
        outcome="same" if same else "differs",
        reasons=() if same else tuple(reasons),
        then=dict(then),
        now=made,
    )


def digests(result: StepResult) -> dict[str, str]:
    """SHA-256 of each output of a step, by port."""
    return {made.port: made.artifact.sha256 for made in result.outputs}


def doubts(step: Step, card: Card) -> list[Reason]:
    """Why an engine may give other bytes to the same request, by its own declaration."""
    found: list[Reason] = []
    if card.locality == "remote":
        found.append(
            Reason(cause="remote", words=f"'{card.id}' is a remote engine, which may answer otherwise")
        )
    elif card.determinism == "none":
        found.append(Reason(cause="chance", words=f"'{card.id}' does not declare that it repeats itself"))
    elif card.determinism == "seeded" and step.seed is None:
        found.append(
            Reason(cause="chance", words=f"'{card.id}' repeats itself with a seed, and none was given")
        )
    return found


def changes(step: Step, card: Card, then: Detail, now: Detail) -> list[Reason]:
    """What was otherwise then, of all that may change the bytes of this engine.

    ``then`` and ``now`` hold ``engine_version``, ``weights``, ``build``, ``threads`` and ``cpu`` as far as they are known.
    An ``exact`` engine declares the same bytes on any processor, so threads and processor explain nothing of it.
    """
    causes: list[tuple[Cause, str, str]] = [
        ("weights", "weights", "weights"),
        ("version", "engine_version", "engine version"),
        ("build", "build", "packages"),
    ]
    if card.determinism == "seeded":
        causes.append(("threads", "threads", "threads"))
        causes.append(("cpu", "cpu", "processor"))
    found = [
        Reason(cause=cause, words=f"other {words}: {_short(then[name])} then, {_short(now[name])} now")
        for cause, name, words in causes
        if name in then and name in now and then[name] != now[name]
    ]
    if card.determinism == "seeded" and "cpu" not in then:
        words = (
            f"'{card.id}' repeats itself on one machine, and the record does not say on which this was made"
        )
        found.append(Reason(cause="machine", words=words))
    return found


def consequence(moved: Sequence[str]) -> list[Reason]:
    """What arrived at the step differed already."""
    words = f"a consequence: {', '.join(moved)} differed before"
    return [Reason(cause="input", words=words)] if moved else []


def repairs(then: int, now: int) -> list[Reason]:
    """Another attempt was kept: each repair has a seed and a feedback of its own."""
    words = f"attempt {then} was kept then, attempt {now} now: a check judged otherwise, and each repair shifts the seed"
    return [Reason(cause="attempts", words=words)] if then != now else []


def unexplained(step: Step, card: Card) -> Reason:
    """The finding that matters: an engine declares that it repeats itself, and did not."""
    seed = f" with seed {step.seed}" if card.determinism == "seeded" else ""
    return Reason(
        cause="unexplained", words=f"'{card.id}' declares to be {card.determinism}{seed}, and is not"
    )


def made_with(journal: Journal, run_id: str, step_id: str) -> Detail:
    """With what a step's last result was made: the detail of its lease, in whichever run that was.

    Empty where the record holds no lease, as for runs of the first release, or where its data subject was erased.
    """
    entries = journal.about(f"run/{run_id}/step/{step_id}")
    told = [(entry, journal.detail(entry)[0]) for entry in entries if entry.act in _KEPT]
    if not told:
        return {}
    last, detail = told[-1]
    if last.act is Act.STEP_REUSED:
        detail = _detail(journal, detail.get("from"))
    else:  # after a decision the same bytes are written down again, under a lease that made nothing
        detail = next(each for _, each in told if each.get("outputs") == detail.get("outputs"))
    return _detail(journal, detail.get("token"))


def made_on(journal: Journal, run_id: str, step_id: str) -> JsonObject:
    """Threads, processor and packages with which a step's last result was made, where the record has them."""
    detail = made_with(journal, run_id, step_id)
    return {name: detail[name] for name in ("threads", "cpu", "build") if name in detail}


def _detail(journal: Journal, n: Any) -> Detail:
    if not isinstance(n, int):
        return {}
    for _, text, _ in journal.entries(n, n + 1):
        return journal.detail(Entry.model_validate_json(text))[0]
    return {}


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text


_KEPT = (Act.STEP_FINISHED, Act.STEP_WAITING, Act.STEP_REUSED)
