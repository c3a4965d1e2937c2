"""Questions to a collection: `Answers.ask`, the one operation behind `bottega ask`, Python and every other door."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event
from typing import Any

from bottega.core.entry import Act
from bottega.core.errors import InvalidValue, WeightsMissing
from bottega.core.request import Output, Request
from bottega.core.value import JsonObject
from bottega.engines.chat import close_schema
from bottega.pipelines.workshop import Workshop
from bottega.retrieval.answers.answer import Answer, Nearest
from bottega.retrieval.answers.flow import Answering, Policy
from bottega.retrieval.answers.judges import CROSS_ENCODER, YesNo
from bottega.retrieval.answers.writing import Reply, reply
from bottega.retrieval.entail import Entailment, EntailmentMiniLM
from bottega.service.collections import Collections, labelled

LOOKED_AT = 10  # passages found; the model reads the best of them
LONGEST = 2000  # characters of a question


@dataclass
class Answers:
    """Answers from the collections of this machine. What it loads stays until the service is closed."""

    shop: Workshop
    collections: Collections
    actor: str
    _judge: Entailment | None = None

    async def ask(
        self,
        question: str,
        collection: str,
        *,
        allowed: Iterable[str] = (),
        model: str = "",
        schema: JsonObject | None = None,
        unsupported: Policy = "remove",
        session: str = "",
        fresh: bool = False,
        cancelled: Event | None = None,
    ) -> Answer:
        """Answer from the documents of a collection that somebody with the labels ``allowed`` may see.

        Args:
            question: in plain words.
            collection: its name.
            allowed: the asker's labels.
            model: a language model of the catalog; the engine's first by default.
            schema: JSON Schema of a typed answer, whose fields are cited one by one.
            unsupported: what becomes of sentences that nothing bears out after one repair.
            session: a conversation to go on with: earlier turns complete the question, and this one is remembered.
            fresh: do not take an equal earlier answer over.
            cancelled: set it to stop.

        Raises:
            NotFound: there is no such collection or model.
            InvalidValue: there is no question, or a label, session or schema cannot be one.
            WeightsMissing: the language model or the embedder is not pulled.
            Cancelled: on request.
        """
        labels = labelled(allowed)
        _question(question)
        if schema is not None:
            schema = close_schema(schema)
        card = self.shop.card("language")
        chosen = self.shop.weights(card, model)[0]
        loop = asyncio.get_running_loop()

        async def asking(request: Request) -> Reply:
            return await self._ask(request, cancelled or Event())

        judge, judge_id = self._entailment(asking, chosen, loop)
        hits = await self.collections.search(collection, question, allowed=labels, top=LOOKED_AT)
        found = [Nearest(passage=hit.passage, score=hit.score) for hit in hits]
        flow = Answering(asking, chosen, judge, judge_id, unsupported)
        answer = await flow.answer(question, found, schema=schema)
        answer = answer.model_copy(update={"collection": collection})
        await asyncio.to_thread(self._record, answer)
        return answer

    async def _ask(self, request: Request, cancelled: Event) -> Reply:
        outputs: list[Output] = []
        async with self.shop.bench(cancelled) as bench:
            files, _ = await self.shop.generate(request, bench, outputs.append)
            read: list[Output] = [
                file
                if file.path is None
                else file.model_copy(update={"data": file.path.read_bytes(), "path": None})
                for file in files
            ]
        return reply([*outputs, *read])

    def _entailment(self, ask: Any, model: str, loop: asyncio.AbstractEventLoop) -> tuple[Entailment, str]:
        """The cross-encoder where its weights lie, else the language model's yes or no."""
        if any(each.id == CROSS_ENCODER for each in self.shop.catalog.models()):
            try:
                folder = self.shop.catalog.path(CROSS_ENCODER)
            except WeightsMissing:
                pass
            else:
                self._judge = self._judge or EntailmentMiniLM(folder, self.shop.threads)
                return self._judge, CROSS_ENCODER
        return YesNo(ask, model, loop), f"{model} yes/no"

    def _record(self, answer: Answer) -> None:
        """What the record keeps: neither question nor answer, because either may be a secret."""
        facts: JsonObject = {
            "outcome": answer.outcome, "reason": answer.reason, "model": answer.model, "judge": answer.judge,
            "sentences": len(answer.sentences), "removed": len(answer.removed), "kept_out": answer.kept_out,
        }  # fmt: skip
        self.shop.journal.write(
            Act.ANSWER_GIVEN, f"collection/{answer.collection}", actor=self.actor, detail=facts
        )


def _question(question: str) -> None:
    if not question.strip():
        raise InvalidValue("there is no question", where="question", remedy="say what you want to know")
    if len(question) > LONGEST:
        raise InvalidValue(
            f"the question has {len(question):,} characters, the limit is {LONGEST:,}",
            where="question",
            remedy="shorten it",
        )
