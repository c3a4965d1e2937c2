"""Whether the quotes of a cited draft say what its answers say, as a step of a plan."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import Field

from bottega.core.canonical import canonical_json
from bottega.core.errors import EngineFailed
from bottega.core.passage import Passage
from bottega.core.request import Finished, Output, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.engines.language import LOADING, PROMPT_SPEED, Language
from bottega.retrieval.answer_step import AnswerParams, judge_named, passages_given
from bottega.retrieval.answers.answer import Citation, JudgeName
from bottega.retrieval.answers.coverage import without_instructions
from bottega.retrieval.answers.gate import premise
from bottega.retrieval.answers.writing import Reply, reply
from bottega.retrieval.document import PASSAGES_MEDIA_TYPE
from bottega.retrieval.sentences import sentence_spans
from bottega.retrieval.words import guess_language

if TYPE_CHECKING:
    from bottega.retrieval.entail import Judgement

READ = 200  # tokens that the language model reads for one sentence and its quotes
BYTES_A_SENTENCE = 400  # of a cited draft, its quotes among them
RANK = {"contradicts": 0, "not_enough": 1, "supports": 2}


class EntailParams(Params, frozen=True):
    """Who judges, and what becomes of what nothing bears out."""

    judge: JudgeName = Field(
        default=AnswerParams.model_fields["judge"].default,
        description="who judges whether the quotes support a sentence",
    )
    languages: tuple[str, ...] = Field(
        default=("en",), description="answers in other languages are not judged, and say so"
    )
    unsupported: Literal["remove", "flag"] = Field(
        default="remove", description="answers with a sentence that their quotes do not support"
    )


class EntailStep(Engine):
    """The judge of `bottega ask` over the answers that `cite` has quoted."""

    card: ClassVar[Card] = Card(
        id="entail",
        version="2",
        summary="Judges whether the quotes of a cited draft support its answers, and leaves out what they do not",
        modality="data",
        inputs=(
            Port(name="cited", media_types=("application/json",), note="the output of cite"),
            Port(
                name="passages", media_types=(PASSAGES_MEDIA_TYPE,), many=True, note="that it was cited from"
            ),
        ),
        outputs=(Port(name="judged", media_types=("application/json",)),),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        isolation="process",
        models=Language.card.models,
        source_type=GENERATED,
        not_covered="The judge is wrong on about one of five hard pairs when the language model has to be it; it never says then that a "
        "quote contradicts. Languages that it does not read are not judged.",
    )
    params: ClassVar[type[Params]] = EntailParams

    def __init__(self) -> None:
        self._language = Language()

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield what was used, then the draft without what is not supported."""
        params = EntailParams.model_validate(request.params)
        draft, key = _cited(request, bench)
        passages, _ = without_instructions(passages_given(request, bench))
        model = request.model or self.card.models[0]
        read = written = 0

        async def ask(asked: Request) -> Reply:
            nonlocal read, written
            bench.check_cancelled()
            said = reply([output async for output in self._language.generate(asked, bench)])
            read, written = read + said.read, written + said.written
            return said

        items = cast(list[JsonObject], draft[key])
        pairs = [_pairs(item, passages, params.languages) for item in items]
        judge = judge_named(params.judge, model, ask, bench)
        flat = [pair for own in pairs for pair in own or ()]
        judged = iter(await asyncio.to_thread(judge.judge, flat) if flat else [])
        kept: list[JsonObject] = []
        dropped: list[JsonObject] = []
        for item, own in zip(items, pairs, strict=True):
            verdict, score = _worst([next(judged) for _ in own]) if own is not None else ("not_judged", 0.0)
            told = {**item, "entailment": {"verdict": verdict, "score": round(score, 4)}}
            if verdict in ("supports", "not_judged") or params.unsupported == "flag":
                kept.append(told)
            else:
                dropped.append({"text": _said(item), "verdict": verdict, "score": round(score, 4)})
        if not kept:
            raise EngineFailed(
                f"no answer is supported by its quotes: {'; '.join(str(each['text']) for each in dropped)}",
                remedy="answer from the passages in their own words, or add a source that holds the answers",
            )
        yield Usage(input_units=read, output_units=written, unit="token")
        yield Finished(
            port="judged",
            media_type="application/json",
            data=canonical_json({**draft, key: kept}),
            details={"kept": len(kept), "dropped": dropped, "judge": params.judge},
        )

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """One reading of a sentence with its quotes, for every sentence."""
        sentences = 1 + input_bytes / BYTES_A_SENTENCE
        return Estimate(
            seconds=LOADING + sentences * READ / PROMPT_SPEED,
            units={"token": float(input_bytes + sentences * READ)},
        )

    def close(self) -> None:
        """Free the weights."""
        self._language.close()


def _worst(judgements: Sequence["Judgement"]) -> tuple[str, float]:
    """Of the sentence with the least support; an answer without a quote has none."""
    verdicts = [(each.label, each.probabilities.supports) for each in judgements]
    return min(verdicts, key=lambda each: (RANK[each[0]], each[1]), default=("not_enough", 0.0))


def _pairs(
    item: JsonObject, passages: Sequence[Passage], languages: Sequence[str]
) -> list[tuple[str, str]] | None:
    """What the judge reads: the quotes and one sentence, for every sentence of an answer; None where it does not read its language."""
    said = _said(item)
    if guess_language([said]) not in languages:
        return None
    by_id = {passage.id: passage for passage in passages}
    citations: list[Citation] = []
    for each in cast(list[JsonObject], item["citations"]):
        passage = by_id.get(str(each["passage"]))
        if passage is None:
            raise EngineFailed(
                f"it cites '{each['passage']}', which is no passage that was given",
                remedy="give the passages that it was cited from",
                where="passages",
            )
        own = {name: value for name, value in each.items() if name in Citation.model_fields}
        citations.append(
            Citation.model_validate({**own, "sha256": passage.sha256, "heading": passage.heading})
        )
    quotes = premise(citations, passages)
    return [] if not citations else [(quotes, said[start:end]) for start, end in sentence_spans(said)]


def _said(item: JsonObject) -> str:
    return str(item["answer"] if "answer" in item else item["text"])


def _cited(request: Request, bench: Bench) -> tuple[JsonObject, str]:
    """A cited draft and the name of its list."""
    (part, *_) = parts_at(request, "cited")
    try:
        draft = json.loads(bench.read(part))
        key = "items" if "items" in draft else "claims"
        if not all(isinstance(each["citations"], list) and _said(each) for each in draft[key]):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        raise EngineFailed(
            "this is no cited draft", remedy="give the output of a cite step", where=part.name
        ) from error
    return draft, key
