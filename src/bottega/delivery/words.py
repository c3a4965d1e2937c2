"""Plain words for states, numbers and engines, the same in the page and the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass

from bottega.core.artifact import Provenance
from bottega.core.plan import Plan
from bottega.core.run import Run, RunState, StepState


@dataclass(frozen=True)
class StateWords:
    """A state for people: a word, a sentence, and a tone that the page colours."""

    title: str
    sentence: str
    tone: str  # "good", "wait", "bad" or "quiet"


_RUN: dict[RunState, StateWords] = {
    "planned": StateWords("Planned", "nothing has been made yet", "quiet"),
    "awaiting_review": StateWords(
        "Waiting for review", "a person has to decide before everything is released", "wait"
    ),
    "running": StateWords("In progress", "the workshop is still working", "wait"),
    "checking": StateWords("In progress", "the checks are still running", "wait"),
    "released": StateWords("Released", "every part is made, checked and signed", "good"),
    "blocked": StateWords("Blocked", "the policy or a check refused part of the work", "bad"),
    "failed": StateWords("Failed", "part of the work could not be made", "bad"),
    "cancelled": StateWords("Cancelled", "stopped on request", "quiet"),
}
_STEP: dict[StepState, StateWords] = {
    "waiting": StateWords("not started", "", "quiet"),
    "running": StateWords("running", "", "wait"),
    "done": StateWords("done", "", "good"),
    "reused": StateWords("reused", "", "good"),
    "awaiting_review": StateWords("waiting for review", "", "wait"),
    "failed": StateWords("failed", "", "bad"),
    "skipped": StateWords("skipped", "", "quiet"),
    "stopped": StateWords("stopped", "on request", "quiet"),
    "delayed": StateWords("delayed", "its engine asked for time", "wait"),
    "parked": StateWords("parked", "it ended its worker too often", "bad"),
}
LIMITS: dict[str, str] = {
    "audio_level": "measures loudness, clipping and silence; it does not judge how the voice sounds.",
    "citations": "proves that quoted words stand in the source; not that they answer the question well.",
    "contrast": "computes colour contrast from the drawing; it cannot see the taste of a picture.",
    "decodes": "opens the file and reads its size and format; it says nothing about what it shows.",
    "language_is": "recognises the language from letter statistics; short texts can fool it.",
    "legible": "reads the text on a picture back by machine; a person may find it hard to read all the same.",
    "length": "counts words, characters or seconds.",
    "not_blank": "measures that a picture has content; not that it is the right content.",
    "numbers_grounded": "finds each number in the sources; not that the number belongs to the thing described.",
    "personal_data": "finds common forms of personal data; names and indirect hints can pass.",
    "profanity": "compares with word lists; tone and insinuation can pass.",
    "schema": "proves the structure of data; not that the values are true.",
    "speech_matches": "compares the speech with its script through a recogniser that makes errors itself.",
    "video_streams": "measures streams, captions, black and frozen stretches; it does not watch the film.",
}


def state_words(state: RunState) -> StateWords:
    """A run's state for people."""
    return _RUN[state]


def step_words(state: StepState) -> StateWords:
    """A step's state for people."""
    return _STEP[state]


def duration(seconds: float) -> str:
    """Seconds as people say them: ``0.4 s``, ``12 s``, ``2 min 05 s``, ``1 h 02 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: int) -> str:
    """Bytes as people say them, decimal units."""
    if count < 1000:
        return f"{count} bytes"
    for unit, scale in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < scale * 999.5:
            return f"{count / scale:.{1 if count < scale * 99.95 else 0}f} {unit}"
    return f"{count / 1e12:.1f} TB"


def amount(count: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def outside(plan: Plan, run: Run, provenances: Mapping[str, Provenance] | None = None) -> list[str]:
    """Where requests of this run went, by name of the destination, or of the engine when it gave none."""
    worked = {result.step for result in run.results if result.state in ("done", "awaiting_review", "failed")}
    places = {item.step: item.destination for item in (provenances or {}).values() if item.destination}
    remote = [step for step in plan.steps if step.locality == "remote" and step.id in worked]
    return sorted({places.get(step.id) or f"{step.engine} {step.model}".strip() for step in remote})
