"""What an answer is made of; all of it serialises."""

from typing import Any, Literal

from pydantic import Field

from bottega.core.passage import Box, Passage
from bottega.core.value import Value
from bottega.retrieval.tables.answer import TableAnswer

Outcome = Literal["answered", "abstained", "asks_back"]
Reason = Literal[
    "",
    "nothing_found",  # no passage that the asker may see
    "passages_do_not_answer",  # what was found is about something else
    "unsupported",  # no sentence of the draft survived the gates
    "contradicting_sources",  # they say different things about the same
    "underspecified",  # the question fits several things; `options` names them
]
Judged = Literal["supports", "contradicts", "not_enough"]

JudgeName = Literal["language", "entailment-minilm"]  # who says whether a quote bears a sentence out
MEDIA_TYPE = "application/vnd.bottega.answer+json"


class Citation(Value, frozen=True):
    """Words of a document at their place: ``quote`` is exactly ``document text[start:end]``."""

    source: str = Field(description="name of the document")
    sha256: str = Field(description="digest of the document's bytes")
    page: int = Field(ge=1)
    start: int = Field(ge=0, description="first character in the document's text")
    end: int = Field(ge=0, description="one past the last character")
    quote: str
    heading: str = Field(default="", description="headings that it stands under")
    boxes: tuple[Box, ...] = Field(
        default=(),
        exclude_if=lambda value: not value,
        description="where the quote stands on its page, in points: one box for each line; of a picture, in pixels",
    )


class Sentence(Value, frozen=True):
    """One claim with what bears it out. ``verdict`` and ``score`` are the entailment judge's, 0 to 1."""

    text: str
    citations: tuple[Citation, ...] = ()
    verdict: Judged = "not_enough"
    score: float = 0.0
    problem: str = Field(default="", description="why it is flagged or was removed")
    pointer: str = Field(
        default="", description="of typed output: the field (RFC 6901) that this claim is about"
    )


class Nearest(Value, frozen=True):
    """A passage that was found; scores compare only within one answer."""

    passage: Passage
    score: float

    def shown(self) -> "Nearest":
        """Without the places of its printed lines: citations have theirs."""
        return self.model_copy(update={"passage": self.passage.model_copy(update={"lines": ()})})


class Spent(Value, frozen=True):
    """What an answer took: calls of the language model, its tokens, pairs judged, wall seconds."""

    calls: int = 0
    read_tokens: int = 0
    written_tokens: int = 0
    judged: int = 0
    seconds: float = 0.0


class Answer(Value, frozen=True):
    """What was asked and what came of it; abstaining and asking back are results, not errors."""

    question: str
    asked: str = Field(default="", description="the question as it was looked for, when history changed it")
    outcome: Outcome
    sentences: tuple[Sentence, ...] = ()
    value: Any = Field(default=None, description="typed output: JSON, null where no field was borne out")
    table: TableAnswer | None = Field(
        default=None, description="the query that gave the answer, its rows and cells, when a table did"
    )
    reason: Reason = ""
    explanation: str = Field(default="", description="the reason in words")
    options: tuple[str, ...] = Field(default=(), description="what the question back offers")
    nearest: tuple[Nearest, ...] = ()
    removed: tuple[Sentence, ...] = ()
    kept_out: int = Field(
        default=0, description="sentences of the passages that address a model, which it was not shown"
    )
    collection: str = ""
    model: str = ""
    judge: str = ""
    spent: Spent = Spent()
    cached: bool = False

    @property
    def text(self) -> str:
        """The answer as one text; empty when there is none."""
        return " ".join(sentence.text for sentence in self.sentences)
