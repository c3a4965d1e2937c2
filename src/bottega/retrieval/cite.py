"""Citations for a draft, found in the passages and never taken from whoever wrote it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar, cast

from pydantic import Field

from bottega.core.canonical import canonical_json
from bottega.core.errors import EngineFailed, UnreadableSource
from bottega.core.passage import Passage
from bottega.core.request import Finished, Output, Request
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.retrieval.answers.coverage import BEARS, without_instructions
from bottega.retrieval.answers.flow import settled, unfit
from bottega.retrieval.answers.gate import Quoter, citation
from bottega.retrieval.document import PASSAGES_MEDIA_TYPE, load_passages
from bottega.retrieval.sentences import sentence_spans
from bottega.retrieval.support import Support
from bottega.retrieval.words import guess_language


class CiteParams(Params, frozen=True):
    """How much support an answer needs."""

    min_score: float = Field(
        default=0.35,
        ge=0,
        le=1,
        description="share of an answer's words, by weight, that its quotes must hold",
    )
    max_quotes: int = Field(
        default=3, ge=1, le=10, description="quotes for one answer; two more for its numbers"
    )
    drop_unsupported: bool = Field(
        default=True,
        description="leave out answers with too little support, or with numbers or names that no quote holds",
    )


class Cite(Engine):
    """Looks up for each answer the sentences that bear it out, word for word, at their place."""

    card: ClassVar[Card] = Card(
        id="cite",
        version="3",
        summary="Finds the sentences of the sources that bear out each answer, and leaves out what none bears out",
        modality="data",
        inputs=(
            Port(name="draft", media_types=("application/json",), note="items of question and answer"),
            Port(name="passages", media_types=(PASSAGES_MEDIA_TYPE,), many=True),
        ),
        outputs=(Port(name="cited", media_types=("application/json",)),),
        reads_names=False,
        licence="Apache-2.0",
        not_covered="Compares words, numbers and names, not meaning: a negation or a swapped subject is not seen.",
    )
    params: ClassVar[type[Params]] = CiteParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the draft with citations."""
        params = CiteParams.model_validate(request.params)
        yield await asyncio.to_thread(_cite, request, params, bench)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """A few milliseconds an answer."""
        return Estimate(seconds=0.1 + input_bytes / 2e5)


def _cite(request: Request, params: CiteParams, bench: Bench) -> Finished:
    draft, key = _draft(request, bench)
    passages, kept_out = without_instructions(_passages(request, bench))
    quoter = Quoter(passages, most=params.max_quotes)
    kept: list[JsonObject] = []
    dropped: list[JsonObject] = []
    for item in cast(list[JsonObject], draft[key]):
        bench.check_cancelled()
        said, topic = (item["answer"], item["question"]) if key == "items" else (item["text"], "")
        support = quoter.support(said, topic)
        reason = quoter.lacking(said, support, params.min_score) or _refused(topic, said, quoter, passages)
        if reason and params.drop_unsupported:
            dropped.append({"text": topic or said, "reason": reason, "score": round(support.score, 4)})
        else:
            kept.append(_cited(item, support, quoter.numbers_without(said, support)))
    if not kept:
        asked = "; ".join(f"'{one['text']}': {one['reason']}" for one in dropped)
        raise EngineFailed(
            f"no answer is borne out by the sources: {asked}",
            remedy="answer from the passages in their own words and numbers, or add a source that holds the answers",
        )
    return Finished(
        port="cited",
        media_type="application/json",
        data=canonical_json({**draft, key: kept}),
        details={
            "kept": len(kept),
            "dropped": dropped,
            "kept_out": kept_out,
            "citations": sum(len(item["citations"]) for item in kept),
        },
    )


def _refused(question: str, said: str, quoter: Quoter, passages: list[Passage]) -> str:
    """Why `bottega ask` would not give this answer to a question, though its quotes bear it out; empty when it would.

    Of the question the passages need to hold no more than an answer must: it was written for this
    answer, not before it. One in another language than all the passages is held to their amounts alone: it shares no words with them.
    """
    if not question:
        return ""
    sentences = [quoter.quoted(said[start:end], question) for start, end in sentence_spans(said)]
    language = guess_language([question, said])
    by_words = any(guess_language([passage.text]) == language for passage in passages)
    before = settled(question, passages, least=BEARS) if by_words else None
    refused = before or unfit(question, sentences, passages, by_words=by_words)
    return refused.explanation if refused else ""


def _cited(item: JsonObject, support: Support, unsupported: list[str]) -> JsonObject:
    citations = [
        {
            "passage": sentence.passage.id,
            **citation(sentence).model_dump(include={"source", "page", "start", "end", "quote", "boxes"}),
            "score": round(score, 4),
        }
        for sentence, score in support.sentences
    ]
    own = {name: value for name, value in item.items() if name not in ("citations", "unsupported")}
    return {**own, "citations": citations, **({"unsupported": unsupported} if unsupported else {})}


def _draft(request: Request, bench: Bench) -> tuple[JsonObject, str]:
    """The draft and the name of its list: ``items`` of question and answer, or ``claims`` of text."""
    parts = parts_at(request, "draft")
    if len(parts) != 1:
        raise EngineFailed("one draft is needed", remedy="give one JSON file", where="draft")
    try:
        draft: Any = json.loads(bench.read(parts[0]))
    except ValueError as error:
        raise EngineFailed(
            f"the draft is not JSON: {error}", remedy="give JSON", where=parts[0].name
        ) from error
    for key, fields in (("items", ("question", "answer")), ("claims", ("text",))):
        items: Any = cast(JsonObject, draft).get(key) if isinstance(draft, dict) else None
        if isinstance(items, list) and items:
            for number, item in enumerate(cast(list[Any], items), start=1):
                if not isinstance(item, dict) or not all(isinstance(item.get(name), str) for name in fields):
                    raise EngineFailed(
                        f"{key} {number} does not hold text for {' and '.join(fields)}",
                        remedy="hold the draft to its schema",
                        where=parts[0].name,
                    )
            return cast(JsonObject, draft), key
    raise EngineFailed(
        "the draft holds no items and no claims",
        remedy='give {"items": [{"question", "answer"}]} or {"claims": [{"text"}]}',
        where=parts[0].name,
    )


def _passages(request: Request, bench: Bench) -> list[Passage]:
    found: list[Passage] = []
    for part in parts_at(request, "passages"):
        try:
            found.extend(load_passages(bench.read(part), where=part.name))
        except UnreadableSource as error:
            raise EngineFailed(error.message, remedy=error.remedy, where=error.where) from error
    if not found:
        raise EngineFailed(
            "no passages were given", remedy="give the output of a search step", where="passages"
        )
    return found
