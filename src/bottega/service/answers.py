"""Questions to a collection: `Answers.ask`, the one operation behind `bottega ask`, Python and every other door."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from pydantic import TypeAdapter

from bottega.core.canonical import digest, digest_bytes
from bottega.core.entry import Act
from bottega.core.errors import EngineFailed, ExtraMissing, InvalidValue
from bottega.core.passage import Passage
from bottega.core.request import Request
from bottega.core.value import JsonObject
from bottega.engines.chat import close_schema
from bottega.pipelines.workshop import Workshop
from bottega.retrieval.answers.answer import Answer, JudgeName, Nearest, Sentence, Spent
from bottega.retrieval.answers.conversation import (
    REWRITTEN_FROM,
    Conversation,
    Turn,
    conversation,
    find,
    leans,
    standalone,
)
from bottega.retrieval.answers.flow import FLOW, Answering, Policy
from bottega.retrieval.answers.judges import YesNo
from bottega.retrieval.answers.tabled import tabled
from bottega.retrieval.answers.writing import Reply, reply
from bottega.retrieval.collections.collection import Collection, Hit
from bottega.retrieval.collections.files import MEMBER
from bottega.retrieval.collections.memory import Memory
from bottega.retrieval.collections.store import DocumentRow, Labels
from bottega.retrieval.entail import Entailment, EntailmentMiniLM
from bottega.retrieval.tables.ask import LONGEST as LONGEST_OF_TABLES
from bottega.retrieval.tables.ask import TableFile, ask_tables
from bottega.service.charged import Charged
from bottega.service.collections import Collections, labelled
from bottega.service.privacy import Privacy
from bottega.service.tables import TABLES
from bottega.storage.budgets import named

LOOKED_AT = 10  # passages found; the model reads the best of them
LONGEST = 2000  # characters of a question


@dataclass
class Answers:
    """Answers from the collections of this machine. What it loads stays until the service is closed.

    ``shop_of`` gives the workshop for a data subject's content, by its pseudonym.
    """

    shop: Workshop
    collections: Collections
    actor: str
    privacy: Privacy
    shop_of: Callable[[str], Workshop]
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
        judge: JudgeName = "language",
        session: str = "",
        fresh: bool = False,
        charge: Sequence[str] = (),
        data_subject: str = "",
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
            judge: who says whether a quote bears a sentence out: the same language model, or the small cross-encoder, if it is pulled.
            session: a conversation to go on with: earlier turns complete the question, and this one is remembered.
            fresh: do not take an equal earlier answer over.
            charge: accounts (``project:kettles``) that pay, each in full, for what engines are asked on the way; what is
                computed without one (search, the cross-encoder) is not counted, and a cached answer costs nothing.
            data_subject: whom it is about: what is kept of it, cache and conversation, is sealed under that person's key.
            cancelled: set it to stop.

        Raises:
            NotFound: there is no such collection or model.
            InvalidValue: there is no question, or a label, session or schema cannot be one.
            WeightsMissing: the language model or the embedder is not pulled.
            BudgetExceeded: an account of ``charge`` refuses the next request; nothing is kept.
            PolicyDenied: the data subject was erased.
            Cancelled: on request.
        """
        labels = labelled(allowed)
        accounts = tuple(dict.fromkeys(named(account) for account in charge))
        _question(question)
        schema = close_schema(schema) if schema is not None else None
        chosen = self.shop.weights(self.shop.card("language"), model)[0]

        store = self.collections.open(collection)
        holder = self.privacy.holder_of(data_subject)
        memory = self._memory(store, holder)
        shop = self.shop_of(holder)
        engines = Charged(shop, self.actor, "ask", accounts, cancelled or Event())

        async def asking(request: Request) -> Reply:
            return reply(await engines.outputs(request))

        turns = await asyncio.to_thread(self._turns, memory, session, labels) if session else []
        asked, leant = question, tuple[int, ...]()
        if turns and leans(question, turns[-1][1]):
            earlier = turns[-REWRITTEN_FROM:]
            asked = await standalone(question, [turn for _, turn in turns], asking, chosen)
            leant = tuple(document for documents, _ in earlier for document in documents)
        judging, judge_id = self._entailment(judge, asking, chosen, asyncio.get_running_loop())
        since = store.last_change(labels)
        key = digest(
            {
                "question": asked, "labels": sorted(labels), "model": self.shop.weights(self.shop.card("language"), model)[1],
                "judge": judge_id, "schema": schema, "unsupported": unsupported, "flow": FLOW,
            }
        )  # fmt: skip
        held = "" if fresh else await asyncio.to_thread(memory.answer, key)
        known = bool(held) and not session  # a turn needs to know its documents
        hits = (
            [] if known else await self.collections.search(collection, asked, allowed=labels, top=LOOKED_AT)
        )
        if held:
            answer = Answer.model_validate_json(held).model_copy(update={"cached": True, "spent": Spent()})
        else:
            found = [Nearest(passage=hit.passage, score=hit.score) for hit in hits]
            answer = None if schema else await self._from_tables(asked, store, hits, labels, chosen, engines)
            if answer is None:
                answer = await Answering(asking, chosen, judging, judge_id, unsupported).answer(
                    asked, found, schema=schema
                )
            answer = answer.model_copy(update={"collection": collection})
            await asyncio.to_thread(memory.keep, key, answer.model_dump_json(), labels, since)
        answer = answer.model_copy(update={"question": question, "asked": asked if asked != question else ""})
        if session:
            ids = {(hit.document.name, hit.document.digest): hit.document.id for hit in hits}
            cited = {ids.get((c.source, c.sha256), 0) for each in answer.sentences for c in each.citations}
            await asyncio.to_thread(self._remember, memory, session, answer, cited | set(leant))
        await asyncio.to_thread(self._record, answer, holder)
        return answer

    async def history(
        self,
        collection: str,
        session: str,
        *,
        allowed: Iterable[str] = (),
        words: str = "",
        data_subject: str = "",
    ) -> Conversation:
        """A conversation as somebody with these labels may see it; with ``words``, the turns that hold them, best first.

        One about a ``data_subject`` is seen by who names it again.

        Raises:
            NotFound: there is no such collection.
            PolicyDenied: the data subject was erased.
        """
        labels = labelled(allowed)
        memory = self._memory(self.collections.open(collection), self.privacy.known(data_subject))
        turns = [turn for _, turn in await asyncio.to_thread(self._turns, memory, session, labels)]
        if words:
            return Conversation(session=session, turns=tuple(find(turns, words)), count=len(turns))
        return conversation(session, turns)

    async def forget(self, collection: str, session: str, *, data_subject: str = "") -> int:
        """Delete the actor's conversation; gives the number of its turns.

        Raises:
            NotFound: there is no such collection.
            PolicyDenied: the data subject was erased.
        """
        memory = self._memory(self.collections.open(collection), self.privacy.known(data_subject))
        return await asyncio.to_thread(memory.forget, self.actor, session)

    def documents(
        self, collection: str, answers: Iterable[Answer], *, allowed: Iterable[str] = ()
    ) -> dict[tuple[str, str], list[Passage]]:
        """The passages of every document that answers cite, by its name and digest, for pages that show a quote in its place.

        Raises:
            NotFound: the collection, or a document that somebody with these labels may see, is not there (any more).
        """
        store, labels = self.collections.open(collection), labelled(allowed)
        cited = {
            (c.source, c.sha256) for answer in answers for each in answer.sentences for c in each.citations
        }
        return {
            (name, sha256): [hit.passage for hit in store.passages(name, allowed=labels, digest=sha256)]
            for name, sha256 in sorted(cited)
        }

    def files(
        self, collection: str, answers: Iterable[Answer], *, allowed: Iterable[str] = ()
    ) -> dict[tuple[str, str], Path]:
        """Where every document that answers cite was read on this machine, by its name and digest; members of archives are left out."""
        cited = {
            (c.source, c.sha256) for answer in answers for each in answer.sentences for c in each.citations
        }
        rows = self.collections.open(collection).documents(allowed=labelled(allowed))
        return {
            key: Path(each.place)
            for each in rows
            if (key := (each.name, each.digest)) in cited and MEMBER not in each.place
        }

    def _memory(self, store: Collection, holder: str) -> Memory:
        return replace(store.memory, vault=self.privacy.vault_of(holder))

    def _turns(self, memory: Memory, session: str, labels: Labels) -> list[tuple[tuple[int, ...], Turn]]:
        return [
            (
                each.documents,
                Turn(
                    at=each.at, question=each.question, asked=each.asked, outcome=each.outcome,  # pyright: ignore[reportArgumentType]
                    sentences=TypeAdapter(tuple[Sentence, ...]).validate_json(each.said),
                ),
            )
            for each in memory.turns(self.actor, session, labels)
        ]  # fmt: skip

    def _remember(self, memory: Memory, session: str, answer: Answer, documents: Iterable[int]) -> None:
        memory.remember(
            self.actor, session, self.shop.now(), question=answer.question, asked=answer.asked, outcome=answer.outcome,
            said=json.dumps([each.document() for each in answer.sentences]), documents=documents,
        )  # fmt: skip

    async def _from_tables(
        self,
        question: str,
        store: Collection,
        hits: Sequence[Hit],
        labels: Labels,
        model: str,
        engines: Charged,
    ) -> Answer | None:
        """By a query over the tables among what was found; None where they do not answer, or their files have changed."""
        if len(question) > LONGEST_OF_TABLES:
            return None
        tables: list[TableFile] = []
        documents: dict[str, list[Passage]] = {}
        for row in {hit.document.id: hit.document for hit in hits}.values():
            if row.media_type not in TABLES or row.name in documents:
                continue
            data = await asyncio.to_thread(_unchanged, row)
            if data is None:
                continue
            kept = await asyncio.to_thread(engines.shop.artifacts.put, data, TABLES[row.media_type])
            tables.append(TableFile(row.name, kept, data))
            seen = await asyncio.to_thread(store.passages, row.name, allowed=labels, digest=row.digest)
            documents[row.name] = [each.passage for each in seen]
        if not tables:
            return None
        try:
            found = await ask_tables(question, tables, engines.ask)
        except (
            EngineFailed,
            ExtraMissing,
        ):  # no table after all, or no engine for it: the passages may still tell
            return None
        made = tabled(question, found, documents)
        return made and made.model_copy(update={"model": model, "spent": Spent(calls=1)})

    def _entailment(
        self, judge: JudgeName, ask: Any, model: str, loop: asyncio.AbstractEventLoop
    ) -> tuple[Entailment, str]:
        """The judge that was asked for, and its name in answers and in the record."""
        if judge == "language":
            return YesNo(ask, model, loop), f"{model} yes/no"
        folder = self.shop.catalog.path(judge)
        self._judge = self._judge or EntailmentMiniLM(folder, self.shop.threads)
        return self._judge, judge

    def _record(self, answer: Answer, holder: str) -> None:
        """What the record keeps: neither question nor answer, because either may be a secret."""
        facts: JsonObject = {
            "outcome": answer.outcome, "reason": answer.reason, "model": answer.model, "judge": answer.judge,
            "sentences": len(answer.sentences), "removed": len(answer.removed), "kept_out": answer.kept_out,
        }  # fmt: skip
        self.shop.journal.write(
            Act.ANSWER_GIVEN, f"collection/{answer.collection}", actor=self.actor, detail=facts, holder=holder
        )


def _unchanged(row: DocumentRow) -> bytes | None:
    """The bytes of an indexed file, if they still lie where they were read."""
    try:
        data = Path(row.place).read_bytes()
    except OSError:  # moved, or a member of an archive
        return None
    return data if digest_bytes(data) == row.digest else None


def _question(question: str) -> None:
    if not question.strip():
        raise InvalidValue("there is no question", where="question", remedy="say what you want to know")
    if len(question) > LONGEST:
        raise InvalidValue(
            f"the question has {len(question):,} characters, the limit is {LONGEST:,}",
            where="question",
            remedy="shorten it",
        )
