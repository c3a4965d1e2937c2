"""Files that stand in a conversation: sent before, inside it, or named by a URL. Documents become text; pictures do not."""

import asyncio
import base64
import binascii
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from bottega.core.errors import InvalidValue, TooLarge, UnreadableSource
from bottega.retrieval.convert import convert
from bottega.server.desk import Desk
from bottega.service.keys import ApiKey

KINDS = ("file", "input_file")  # in the chat dialect its facts lie one level deeper
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


async def _text(desk: Desk, key: ApiKey, piece: dict[str, Any], where: str) -> tuple[str, str]:
    inner = piece.get("file")
    facts = cast(dict[str, Any], inner) if isinstance(inner, dict) else piece
    named = [name for name in ("file_id", "file_data", "file_url") if isinstance(facts.get(name), str)]
    if len(named) != 1:
        raise InvalidValue("give one of file_id, file_data and file_url", where=where)
    source, (kind,) = str(facts[named[0]]), named
    name = str(facts.get("filename") or "")
    with tempfile.TemporaryDirectory(prefix="bottega-attachment-") as folder:
        if kind == "file_id":
            stored = desk.service.files.get(key.actor, source)
            name = name or stored.name
            path = stored.path
        else:
            if kind == "file_url":
                found = await asyncio.to_thread(desk.fetcher.fetch, source, f"{where}.file_url")
                name, data = name or Path(urlsplit(found.url).path).name, found.data
            else:
                data = _decoded(source, f"{where}.file_data")
            path = Path(folder) / "content"
            path.write_bytes(data)
        name = Path(name.replace("\\", "/")).name[:120] or "file"
        kept = Path(folder) / "document"
        kept.mkdir()
        copy = kept / name  # what a document is, its name helps to tell
        await asyncio.to_thread(copy.write_bytes, await asyncio.to_thread(path.read_bytes))
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
