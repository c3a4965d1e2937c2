"""`/v1/collections`: documents indexed, searched, and asked."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from bottega.core.errors import InvalidValue
from bottega.retrieval.answers.flow import Policy
from bottega.retrieval.collections.collection import Method
from bottega.server.answer import call_id
from bottega.server.desk import Desk
from bottega.server.indexing import Indexing
from bottega.server.message import Call, Flow, Reply, encode, event, reply
from bottega.server.message import events as sent
from bottega.service.keys import ApiKey
from bottega.storage.disk import appearing, disk

NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")


class SearchBody(msgspec.Struct, kw_only=True):
    """What is looked for."""

    query: str
    top: int = 10
    method: Method = "fusion"


class AskBody(msgspec.Struct, kw_only=True):
    """What is asked, and in which conversation."""

    question: str
    model: str = ""
    session: str = ""
    unsupported: Policy = "remove"  # what becomes of sentences that nothing bears out
    fresh: bool = False  # do not take an equal earlier answer over
    data_subject: str = ""  # whose conversation it is: what is kept of it is sealed under that person's key
    json_schema: dict[str, Any] | None = None


class IndexBody(msgspec.Struct, kw_only=True):
    """Files that were sent before, or another embedder, or both."""

    files: list[str] = []
    labels: list[str] | None = None  # whoever may see them must have all of these
    embedder: str = ""  # a model, or none for words only; the collection's own by default
    background: bool = (
        False  # answer at once; /indexings/{indexing} tells how far it has come, and what came of it
    )


async def listed(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Collections, as somebody with the key's labels sees them."""
    found = await asyncio.to_thread(lambda: desk.service.collections().all(allowed=frozenset(key.labels)))
    data = [
        {"id": each.name, "object": "collection", "documents": each.documents, "passages": each.passages,
         "embedder": each.embedder, "next_embedder": each.next_embedder}
        for each in found
    ]  # fmt: skip
    return reply({"object": "list", "data": data})


async def search(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """The passages that answer a query best."""
    asked = await call.read(SearchBody)
    if not 1 <= asked.top <= 100:
        raise InvalidValue(f"{asked.top} is not between 1 and 100", where="top")
    if not asked.query.strip():
        raise InvalidValue("there is no query", where="query")
    hits = await desk.service.collections().search(
        call.at["collection"], asked.query, allowed=key.labels, top=asked.top, method=asked.method
    )
    data = [
        {"score": hit.score, "passage": hit.passage.model_copy(update={"lines": ()}).document(), "language": hit.language,
         "document": hit.document.shown()}
        for hit in hits
    ]  # fmt: skip
    return reply({"object": "list", "data": data})


async def ask(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Answer a question from a collection, every sentence with its quote, or say why not."""
    asked = await call.read(AskBody)
    if asked.model:
        desk.names.get(asked.model, ("language",))
    await desk.guards.let_in(asked.question.encode(), "text/plain")
    watching = asyncio.ensure_future(call.watch())
    try:
        async with desk.attempts.turn("language", call, key):
            answers = replace(desk.service.answers(), actor=key.actor)
            found = await answers.ask(
                asked.question, call.at["collection"], model=asked.model, schema=asked.json_schema,
                allowed=key.labels, data_subject=asked.data_subject,
                session=_session(key, asked.session), cancelled=call.cancelled, charge=key.charge,
                unsupported=asked.unsupported, fresh=asked.fresh,
            )  # fmt: skip
    finally:
        watching.cancel()
    await desk.guards.let_out(found.text.encode(), "text/plain")
    return reply(found.document())


async def index(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Index files into a collection, which is made if there is none; one of the same name is replaced.

    It goes on when the caller goes away.
    """
    asked = await call.read(IndexBody)
    if not asked.files and not asked.embedder:
        raise InvalidValue("there is no file", where="files", remedy="send them to /v1/files first")
    service, name = desk.service, call.at["collection"]
    if not NAME.match(name):
        raise InvalidValue(
            f"'{name[:80]}' cannot name a collection", where="collection", remedy="a-z, 0-9, - and _"
        )
    paths: list[Path] = []
    for file_id in asked.files:
        sent = service.files.get(key.actor, file_id)
        place = (
            service.collections().sent(name) / sent.name
        )  # it stays there: a document is known by its path
        await asyncio.to_thread(_copy, sent.path, place)
        paths.append(place)
    begun = desk.indexings.begin(
        call_id(call, key, kind="indexing"),
        key.owner,
        name,
        paths,
        labels=asked.labels,
        embedder=asked.embedder,
    )
    if asked.background:
        return Reply(encode(begun.shown()), 202)
    return reply((await asyncio.shield(begun.work)).document())


async def indexing(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """How far indexing has come, and its report once it has ended; the error when it has failed."""
    return reply(desk.indexings.get(key.owner, call.at["collection"], call.at["indexing"]).shown())


async def events(desk: Desk, call: Call, key: ApiKey) -> Flow:
    """Its progress as it comes, then its state. `Last-Event-ID` goes on behind that event; what came between is left out."""
    found = desk.indexings.get(key.owner, call.at["collection"], call.at["indexing"])
    given = call.header(b"last-event-id")
    return sent(_events(found, call, int(given) if given.isdecimal() and len(given) < 19 else -1))


async def cancel(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Stop it; what was acknowledged stays, and the same request goes on from there."""
    found = desk.indexings.get(key.owner, call.at["collection"], call.at["indexing"])
    told = found.shown()
    found.stop.set()
    return reply(told)


async def remove(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Remove a document that the key sees, with its passages, vectors, the answers that rest on it, and the file that was sent."""
    report = await desk.service.collections().remove(
        call.at["collection"], [call.at["document"]], allowed=key.labels
    )
    return reply(report.document())


async def history(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """A conversation of the key's: its last turns, and what was said before them; with ``words``, the turns that hold them."""
    answers, session = replace(desk.service.answers(), actor=key.actor), call.at["session"]
    found = await answers.history(
        call.at["collection"], _session(key, session), allowed=key.labels, words=call.query.get("words", "")
    )
    return reply(found.model_copy(update={"session": session}).document())


async def forget(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Delete a conversation of the key's."""
    answers, session = replace(desk.service.answers(), actor=key.actor), call.at["session"]
    turns = await answers.forget(call.at["collection"], _session(key, session))
    return reply({"id": session, "object": "session", "deleted": True, "turns": turns})


async def delete(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Remove a whole collection."""
    await asyncio.to_thread(desk.service.collections().delete, call.at["collection"])
    return reply({"id": call.at["collection"], "object": "collection", "deleted": True})


async def _events(found: Indexing, call: Call, after: int) -> AsyncIterator[bytes]:
    watching = asyncio.ensure_future(call.watch())
    try:
        async for told in found.follow(after):
            if call.cancelled.is_set():
                return
            yield b": still at work\n\n" if told is None else event(told[1].document(), "progress", told[0])
        failed = found.work.cancelled() or found.work.exception() is not None
        yield event({"state": "failed" if failed else "done"}, "state")
    finally:
        watching.cancel()


def _session(key: ApiKey, session: str) -> str:
    """A session as the collection knows it: each owner's are their own."""
    return f"{key.owner}-{session}" if session else ""


def _copy(source: Path, target: Path) -> None:
    with disk(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with appearing(target) as made:
            shutil.copyfile(source, made)
