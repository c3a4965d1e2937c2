"""From a question and passages to an answer in which every sentence is quoted and judged: `Answering.answer` reads as it runs."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from bottega.checks.quoting import things
from bottega.core.errors import EngineFailed
from bottega.core.passage import Passage
from bottega.core.request import Request
from bottega.core.value import JsonObject
from bottega.retrieval.answers import coverage
from bottega.retrieval.answers.answer import Answer, Nearest, Reason, Sentence, Spent
from bottega.retrieval.answers.bound import EXCHANGED
from bottega.retrieval.answers.gate import Quoter, premise, rival
from bottega.retrieval.answers.writing import (
    Ask,
    Reply,
    claims,
    draft_request,
    escaped,
    typed_claims,
)
from bottega.retrieval.chunk import count_words

if TYPE_CHECKING:
    from bottega.retrieval.entail import Entailment

Policy = Literal["remove", "flag"]
FLOW = "8"  # raised with every change that may change an answer: cached ones are good for one
MOST_PASSAGES = 4
MOST_WORDS = 300  # of all passages that the model reads
SHOWN_NEAREST = 3
LEAST_TYPED = 0.2  # share of a field's words that its quotes hold: the field's name is not the source's


@dataclass
class Answering:
    """One language model, one judge, one policy for what is not borne out.

    ``ask`` reaches the language engine ``model``; ``unsupported`` says whether sentences that fail twice are removed or stay with the
    problem written beside them.
    """

    ask: Ask
    model: str
    judge: "Entailment"
    judge_id: str
    unsupported: Policy = "remove"
    _spent: Spent = field(default_factory=Spent)

    async def answer(
        self,
        question: str,
        found: Sequence[Nearest],
        *,
        schema: JsonObject | None = None,
        computed: Sequence[str] = (),
    ) -> Answer:
        """Answer from passages, best first, or say why not.

        With ``schema`` the answer is JSON, each field a sentence of its own; a field that nothing bears out becomes null. ``computed``
        are texts that a tool made from tables: their numbers need no quote.
        """
        begun, self._spent = time.monotonic(), Spent()
        passages, kept_out = coverage.without_instructions(_within(found))
        made = await self._made(question, passages, schema, computed)
        spent = self._spent.model_copy(update={"seconds": round(time.monotonic() - begun, 2)})
        return made.model_copy(
            update={
                "nearest": tuple(each.shown() for each in found[:SHOWN_NEAREST]), "kept_out": kept_out, "model": self.model, "judge": self.judge_id,
                "spent": spent,
            }
        )  # fmt: skip

    async def _made(
        self, question: str, passages: Sequence[Passage], schema: JsonObject | None, computed: Sequence[str]
    ) -> Answer:
        if not_asked := settled(question, passages):
            return not_asked
        quoter = Quoter(passages, computed)
        value, sentences = await self._draft(question, passages, quoter, schema, "")
        if bad := [each for each in sentences if each.problem]:
            problems = "; ".join(f"'{each.text[:120]}': {each.problem}" for each in bad[:3])
            feedback = f"{problems}. Say only what the sources say."
            again = await self._draft(question, passages, quoter, schema, feedback)
            if _good(again[1]) >= _good(sentences):
                value, sentences = again
        good = [each for each in sentences if not each.problem]
        bad = [each for each in sentences if each.problem]
        if not good and not schema:
            good = await self._verbatim(question, bad, passages, quoter)
            sentences = [*good, *bad]
        if not good:
            return _nothing_left(question, bad)
        if refused := unfit(question, good, passages, by_words=schema is None):
            return refused
        kept = sentences if self.unsupported == "flag" else good
        return Answer(
            question=question,
            outcome="answered",
            sentences=tuple(kept),
            removed=() if self.unsupported == "flag" else tuple(bad),
            value=_pruned(value, {each.pointer for each in kept}) if schema else None,
        )

    async def _draft(
        self,
        question: str,
        passages: Sequence[Passage],
        quoter: Quoter,
        schema: JsonObject | None,
        feedback: str,
    ) -> tuple[Any, list[Sentence]]:
        """Write, quote, hold to the quotes, judge."""
        said = await self._ask(
            draft_request(question, passages, self.model, feedback=feedback, schema=schema)
        )
        if schema:
            value, fields = typed_claims(said.text)
            whole = " ".join([question, *(claim for _, claim in fields)])  # a value stands beside the others
            sentences = [
                quoter.quoted(claim, whole, pointer=pointer, least=LEAST_TYPED) for pointer, claim in fields
            ]
        else:
            value = None
            sentences = [quoter.quoted(claim, question) for claim in claims(said.text)]
        return value, await self._judged(question, sentences, passages)

    async def _verbatim(
        self, question: str, bad: Sequence[Sentence], passages: Sequence[Passage], quoter: Quoter
    ) -> list[Sentence]:
        """The quotes that name what is asked for, where a draft gave their amounts to something else twice."""
        asked = [name for name, *_ in things(question)]
        quotes = dict.fromkeys(
            c.quote for each in bad if each.problem.startswith(EXCHANGED) for c in each.citations
        )
        said = [
            quoter.quoted(quote, question)
            for quote in quotes
            if asked and all(name in quote for name in asked)
        ]
        return [each for each in await self._judged(question, said, passages) if not each.problem]

    async def _judged(
        self, question: str, sentences: Sequence[Sentence], passages: Sequence[Passage]
    ) -> list[Sentence]:
        """What passed the deterministic gate is judged by meaning."""
        to_judge = [each for each in sentences if not each.problem]
        pairs = [
            (premise(each.citations, passages), f"{question} {each.text}" if each.pointer else each.text)
            for each in to_judge
        ]
        judged = await asyncio.to_thread(self.judge.judge, pairs) if pairs else []
        self._count(judged=len(pairs))
        verdicts = dict(zip(map(id, to_judge), judged, strict=True))
        found: list[Sentence] = []
        for each in sentences:
            if verdict := verdicts.get(id(each)):
                problem = {"supports": "", "contradicts": "its quote says otherwise"}.get(
                    verdict.label, "its quote does not say this"
                )
                score = round(verdict.probabilities.supports, 4)
                each = each.model_copy(update={"verdict": verdict.label, "score": score, "problem": problem})
            found.append(each)
        return found

    async def _ask(self, request: Request) -> Reply:
        try:
            said = await self.ask(request)
        except EngineFailed as error:
            if "said nothing" not in error.message:
                raise
            said = Reply("", {}, 0, 0)
        self._count(calls=1, read_tokens=said.read, written_tokens=said.written)
        return said

    def _count(self, **more: int) -> None:
        now = self._spent.document()
        self._spent = Spent.model_validate(
            {**now, **{name: now[name] + count for name, count in more.items()}}
        )


def settled(question: str, passages: Sequence[Passage], *, least: float = coverage.COVERED) -> Answer | None:
    """What is known before a model is asked: nothing was found, the question fits several things, or nothing in it is mentioned.

    ``least`` is the share of the question, by weight, that the passages must hold.
    """
    if not passages:
        return abstained(question, "nothing_found", "nothing in it, for what you may see, is about this")
    if options := coverage.options(question, passages):
        return Answer(
            question=question,
            outcome="asks_back",
            reason="underspecified",
            options=options,
            explanation=f"Which one do you mean: {', '.join(options)}?",
        )
    covered = coverage.coverage(question, passages)
    if covered.unknown:
        explanation = f"the sources do not mention {', '.join(covered.unknown)}"
        return abstained(question, "passages_do_not_answer", explanation)
    if covered.share < least:
        return abstained(question, "passages_do_not_answer", "what was found is about something else")
    return None


def _nothing_left(question: str, bad: Sequence[Sentence]) -> Answer:
    if not bad:
        return abstained(question, "passages_do_not_answer", "the nearest passages do not answer this")
    if any(each.verdict == "contradicts" for each in bad):
        explanation = "what could be said is contradicted by the sources"
    else:
        explanation = "no sentence could be borne out by the sources"
    return abstained(question, "unsupported", explanation, removed=bad)


def _bears(question: str, sentences: Sequence[Sentence], passages: Sequence[Passage]) -> bool:
    """Whether an answer is about what was asked.

    Its words, its quotes and the headings right over them hold something of the question; the passages that it cites, every name.
    """
    pairs = [
        (f"{each.text} {c.quote}", c, p)
        for each in sentences
        for c in each.citations
        for p in passages
        if c.source == p.source and p.start <= c.start and c.end <= p.end
    ]
    said = [
        p.model_copy(update={"source": "", "heading": c.heading.rpartition(" > ")[2], "text": text})
        for text, c, p in pairs
    ]
    held = coverage.coverage(question, passages, said).share
    return (
        held >= coverage.BEARS and not coverage.coverage(question, passages, [p for *_, p in pairs]).unknown
    )


def unfit(
    question: str, sentences: Sequence[Sentence], passages: Sequence[Passage], *, by_words: bool = True
) -> Answer | None:
    """Why quoted sentences are no answer: they are about something else, or another document says otherwise; None when they are one.

    Not ``by_words`` where the question has none of the sources' words: fields of a typed answer, or another language.
    """
    if by_words and not _bears(question, sentences, passages):
        explanation = "what the sources say is about something else"
        return abstained(question, "passages_do_not_answer", explanation, removed=sentences)
    return _contested(question, sentences, passages)


def _contested(question: str, sentences: Sequence[Sentence], passages: Sequence[Passage]) -> Answer | None:
    """An abstention that shows both sides, when another document says a sentence with another amount."""
    for each in sentences:
        if other := rival(each, passages):
            own = each.citations[0]
            explanation = f"{own.source} says “{own.quote}”, {other.source} says “{other.quote}”"
            both = {"citations": (*each.citations, other), "problem": "contested"}
            return abstained(
                question, "contradicting_sources", explanation, removed=[each.model_copy(update=both)]
            )
    return None


def abstained(question: str, reason: Reason, explanation: str, *, removed: Sequence[Sentence] = ()) -> Answer:
    """No answer, and why."""
    return Answer(
        question=question, outcome="abstained", reason=reason, explanation=explanation, removed=tuple(removed)
    )


def _good(sentences: Sequence[Sentence]) -> int:
    return sum(not each.problem for each in sentences)


def _within(found: Sequence[Nearest]) -> list[Passage]:
    """The first passages that fit; the first of all always does."""
    chosen: list[Passage] = []
    left = MOST_WORDS
    for each in found:
        words = count_words(each.passage.text)
        if words <= left or not chosen:
            chosen.append(each.passage)
            left -= words
        if len(chosen) == MOST_PASSAGES:
            break
    return chosen


def _pruned(value: Any, kept: set[str], pointer: str = "") -> Any:
    """A JSON value in which every field without support is null."""
    if isinstance(value, dict):
        fields = cast(JsonObject, value)
        return {name: _pruned(child, kept, f"{pointer}/{escaped(name)}") for name, child in fields.items()}
    if isinstance(value, list):
        return [_pruned(child, kept, f"{pointer}/{n}") for n, child in enumerate(cast(list[Any], value))]
    return value if pointer in kept else None
