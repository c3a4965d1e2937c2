"""The answer to one question from passages, as a step of a plan."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from bottega.core.errors import EngineFailed, InvalidPlan, UnreadableSource
from bottega.core.passage import Passage
from bottega.core.request import Finished, Output, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.engines.chat import close_schema
from bottega.engines.language import ANSWER_SPEED, LOADING, PROMPT_SPEED, Language
from bottega.retrieval.answers.answer import MEDIA_TYPE, JudgeName, Nearest
from bottega.retrieval.answers.flow import Answering
from bottega.retrieval.answers.writing import MOST_TOKENS, MOST_TOKENS_TYPED, Ask, Reply, reply
from bottega.retrieval.document import PASSAGES_MEDIA_TYPE, load_passages

if TYPE_CHECKING:
    from bottega.retrieval.entail import Entailment

PROMPT_TOKENS = 800  # passages, question and rules
JUDGED = 6  # sentences of a draft and its repair


class AnswerParams(Params, frozen=True):
    """What is asked, in which shape, and what becomes of what nothing bears out."""

    question: str = Field(min_length=1, max_length=2000, description="in plain words")
    json_schema: JsonObject | None = Field(default=None, description="typed output; every field is cited")
    unsupported: Literal["remove", "flag"] = Field(
        default="remove", description="sentences that nothing bears out after one repair"
    )
    judge: JudgeName = Field(default="language", description="who judges whether a quote supports a sentence")
    must_answer: bool = Field(
        default=False, description="fail instead of giving a file that says why there is no answer"
    )

    @model_validator(mode="after")
    def _schema_is_closed(self) -> "AnswerParams":
        if self.json_schema is not None:
            try:
                close_schema(self.json_schema)
            except InvalidPlan as error:
                raise ValueError(str(error)) from error
        return self


class AnswerStep(Engine):
    """The same flow as `bottega ask`, over passages that an earlier step found."""

    card: ClassVar[Card] = Card(
        id="answer",
        version="1",
        summary="Answers a question from passages, every sentence with its quote, or says why not",
        modality="text",
        inputs=(Port(name="passages", media_types=(PASSAGES_MEDIA_TYPE,), many=True, note="best first"),),
        outputs=(Port(name="answer", media_types=(MEDIA_TYPE,)),),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        isolation="process",
        models=Language.card.models,
        source_type=GENERATED,
        not_covered="A sentence may be borne out word for word and still miss the question; the judge of meaning is right on about "
        "four of five hard pairs.",
    )
    params: ClassVar[type[Params]] = AnswerParams

    def __init__(self) -> None:
        self._language = Language()

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield what was used, then the answer."""
        params = AnswerParams.model_validate(request.params)
        bench.check_cancelled()
        model = request.model or self.card.models[0]

        async def ask(asked: Request) -> Reply:
            bench.check_cancelled()
            return reply([output async for output in self._language.generate(asked, bench)])

        judge_id = f"{model} yes/no" if params.judge == "language" else params.judge
        judge = judge_named(params.judge, model, ask, bench)
        flow = Answering(ask, model, judge, judge_id, params.unsupported)
        schema = close_schema(params.json_schema) if params.json_schema is not None else None
        found = [Nearest(passage=each, score=0.0) for each in passages_given(request, bench)]
        answer = await flow.answer(params.question, found, schema=schema)
        if params.must_answer and answer.outcome != "answered":
            raise EngineFailed(
                answer.explanation, remedy="add a source that answers it", where=params.question
            )
        spent = answer.spent
        yield Usage(input_units=spent.read_tokens, output_units=spent.written_tokens, unit="token")
        told = answer.model_copy(
            update={"spent": spent.model_copy(update={"seconds": 0.0})}
        )  # same request, same bytes
        details = {
            "outcome": answer.outcome,
            "reason": answer.reason,
            "removed": len(answer.removed),
            "judge": judge_id,
        }
        yield Finished(port="answer", media_type=MEDIA_TYPE, data=told.canonical(), details=details)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Two drafts, and the judging of their sentences where the language model has to do it."""
        assert isinstance(params, AnswerParams)
        most = MOST_TOKENS_TYPED if params.json_schema else MOST_TOKENS
        judged = JUDGED if params.judge == "language" else 0
        read, written = 2 * PROMPT_TOKENS + judged * 200, 2 * most + judged
        return Estimate(
            seconds=LOADING + 0.6 * (read / PROMPT_SPEED + written / ANSWER_SPEED),
            units={"token": float(2 * (input_bytes + 2000) + judged * 2000 + written)},
        )

    def close(self) -> None:
        """Free the weights."""
        self._language.close()


def judge_named(name: str, model: str, ask: Ask, bench: Bench) -> "Entailment":
    """The judge that the plan names; imported here, because its package brings numpy."""
    from bottega.retrieval.answers.judges import YesNo
    from bottega.retrieval.entail import EntailmentMiniLM

    if name == "language":
        return YesNo(ask, model, asyncio.get_running_loop())
    return EntailmentMiniLM(bench.weights(name), bench.threads)


def passages_given(request: Request, bench: Bench) -> list[Passage]:
    """The passages of a request, in the order of its parts.

    Raises:
        EngineFailed: a part holds no passages.
    """
    found: list[Passage] = []
    for part in parts_at(request, "passages"):
        try:
            found.extend(load_passages(bench.read(part), where=part.name))
        except UnreadableSource as error:
            raise EngineFailed(error.message, remedy=error.remedy, where=error.where) from error
    return found
