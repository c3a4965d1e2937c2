"""Files that stand in a conversation: sent before, inside it, or named by a URL. Documents become text; pictures do not."""

import asyncio
import base64
import binascii
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from bottega.core.errors import InvalidValue, TooLarge, UnreadableSource
from bottega.retrieval.convert import convert
from bottega.server.desk import Desk
from bottega.service.keys import ApiKey

KINDS = ("file", "input_file", "document")  # of the chat dialect, of responses, of Anthropic's
SOURCES = {"file": "file_id", "base64": "data", "text": "data", "url": "url"}  # of a document, by type
SUFFIXES = {"application/pdf": ".pdf", "text/plain": ".txt"}  # what a document without a title is called
MOST_FILES = 8
MOST_TEXT = 100_000  # characters of all files of a request: an engine says itself what its context holds


async def read(desk: Desk, key: ApiKey, contents: Sequence[Any], where: str) -> None:
    """Put the text of each file in its place. ``contents`` are those of the messages, as they were sent.

    Raises:
        InvalidValue, TooLarge, UnreadableSource, NotFound: naming the piece.
        PolicyDenied, TransferFailed: its URL is not fetched, or cannot be.
    """
    count, size = 0, 0
    for index, content in enumerate(contents):
        for number, piece in enumerate(cast(list[Any], content) if isinstance(content, list) else ()):
            if not isinstance(piece, dict) or cast(dict[str, Any], piece).get("type") not in KINDS:
                continue
            place = f"{where}[{index}].content[{number}]"
            count += 1
            if count > MOST_FILES:
                raise TooLarge(f"more than {MOST_FILES} files", where=place)
            given = cast(dict[str, Any], piece)
            name, text = await _text(desk, key, given, place)
            size += len(text)
            if size > MOST_TEXT:
                raise TooLarge(
                    f"the files have more than {MOST_TEXT} characters", where=place, remedy="index them"
                )
            given.clear()
            given |= {"type": "text", "text": f"File {name}:\n{text}\n"}


@dataclass(frozen=True)
class _Given:
    """One piece, whichever dialect it came in; ``where`` names the field."""

    kind: Literal["id", "data", "text", "url"]
    source: str
    name: str
    where: str


def _given(piece: Mapping[str, Any], where: str) -> _Given:
    if piece.get("type") == "document":
        source = _mapping(piece.get("source"))
        kind = str(source.get("type"))
        field = SOURCES.get(kind, "")
        if not isinstance(source.get(field), str):
            raise InvalidValue(
                f"a document's source of type '{kind[:40]}' is not known, or is empty",
                where=f"{where}.source", remedy=f"one of: {', '.join(SOURCES)}",
            )  # fmt: skip
        named = str(piece.get("title") or "") or f"document{SUFFIXES.get(str(source.get('media_type')), '')}"
        what: Any = {"file": "id", "base64": "data"}.get(kind, kind)
        return _Given(
            what, source[field], named if kind not in ("file", "url") else "", f"{where}.source.{field}"
        )
    facts = _mapping(piece.get("file")) or piece  # in the chat dialect they lie one level deeper
    fields = [name for name in ("file_id", "file_data", "file_url") if isinstance(facts.get(name), str)]
    if len(fields) != 1:
        raise InvalidValue("give one of file_id, file_data and file_url", where=where)
    what = fields[0].removeprefix("file_")
    return _Given(what, facts[fields[0]], str(facts.get("filename") or ""), f"{where}.{fields[0]}")


def _mapping(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


async def _text(desk: Desk, key: ApiKey, piece: dict[str, Any], where: str) -> tuple[str, str]:
    given = _given(piece, where)
    if given.kind == "text":
        return given.name, given.source
    with tempfile.TemporaryDirectory(prefix="bottega-attachment-") as folder:
        name = given.name
        if given.kind == "id":
            stored = desk.service.files.get(key.actor, given.source)
            name, path = name or stored.name, stored.path
        else:
            if given.kind == "url":
                found = await asyncio.to_thread(desk.fetcher.fetch, given.source, given.where)
                name, data = name or Path(urlsplit(found.url).path).name, found.data
            else:
                data = _decoded(given.source, given.where)
            path = Path(folder) / "content"
            path.write_bytes(data)
        name = Path(name.replace("\\", "/")).name[:120] or "file"
        kept = Path(folder) / "document"
        kept.mkdir()
        copy = kept / name  # what a document is, its name helps to tell
        await asyncio.to_thread(shutil.copyfile, path, copy)
        try:
            document = await convert(
                copy, name=name, ask=desk.service.shop.ask, store=desk.service.shop.artifacts.put
            )
        except UnreadableSource as error:
            raise UnreadableSource(error.message, where=where, remedy=error.remedy) from error
    return name, document.text


def _decoded(source: str, where: str) -> bytes:
    """The bytes of a data URL, or of plain base64."""
    if source.startswith("data:"):
        source = source.partition(",")[2]
    try:
        return base64.b64decode(source, validate=True)
    except binascii.Error as error:
        raise InvalidValue("it is not base64", where=where, remedy="send a data URL") from error
