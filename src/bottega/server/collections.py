"""`/v1/collections`: documents indexed, searched, and asked."""

import asyncio
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from bottega.core.errors import InvalidValue
from bottega.server.desk import Desk
from bottega.server.message import Call, Reply, reply
from bottega.service.keys import ApiKey
from bottega.storage.disk import appearing, disk

NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")


class SearchBody(msgspec.Struct, kw_only=True):
    """What is looked for."""

    query: str
    top: int = 10
    method: Literal["fusion", "words", "vectors"] = "fusion"


class AskBody(msgspec.Struct, kw_only=True):
    """What is asked, and in which conversation."""

    question: str
    model: str = ""
    session: str = ""
    data_subject: str = ""  # whose conversation it is: what is kept of it is sealed under that person's key
    json_schema: dict[str, Any] | None = None


class IndexBody(msgspec.Struct, kw_only=True):
    """Files that were sent before."""

    files: list[str]
    labels: list[str] | None = None  # whoever may see them must have all of these


async def listed(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Collections, as somebody with the key's labels sees them."""
    found = await asyncio.to_thread(lambda: desk.service.collections().all(allowed=frozenset(key.labels)))
    data = [
        {"id": each.name, "object": "collection", "documents": each.documents, "passages": each.passages,
         "embedder": each.embedder}
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
        {"score": hit.score, "passage": hit.passage.document(), "language": hit.language,
         "document": hit.document.shown()}
        for hit in hits
    ]  # fmt: skip
    return reply({"object": "list", "data": data})


async def ask(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Answer a question from a collection, every sentence with its quote, or say why not."""
    asked = await call.read(AskBody)
    if asked.model:
        desk.names.get(asked.model, ("language",))
    watching = asyncio.ensure_future(call.watch())
    try:
        async with desk.attempts.gate("language").entered():
            answers = replace(desk.service.answers(), actor=key.actor)
            found = await answers.ask(
                asked.question, call.at["collection"], model=asked.model, schema=asked.json_schema,
                allowed=key.labels, data_subject=asked.data_subject,
                session=f"{key.owner}-{asked.session}" if asked.session else "", cancelled=call.cancelled, charge=key.charge,
            )  # fmt: skip
    finally:
        watching.cancel()
    return reply(found.document())


async def index(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Index files into a collection, which is made if there is none; one of the same name is replaced."""
    asked = await call.read(IndexBody)
    if not asked.files:
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
            service.folder / "uploads" / name / sent.name
        )  # where it stays: a document is known by its path
        await asyncio.to_thread(_copy, sent.path, place)
        paths.append(place)
    report = await service.collections().index(name, paths, labels=asked.labels)
    return reply(report.document())


async def delete(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Remove a whole collection."""
    await asyncio.to_thread(desk.service.collections().delete, call.at["collection"])
    return reply({"id": call.at["collection"], "object": "collection", "deleted": True})


def _copy(source: Path, target: Path) -> None:
    with disk(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with appearing(target) as made:
            shutil.copyfile(source, made)
