"""From a source file to a `Document`: one module per format."""

import asyncio
import inspect
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from bottega.core.canonical import digest_bytes
from bottega.core.errors import UnreadableSource
from bottega.retrieval.chunk import Block, compose
from bottega.retrieval.convert.reading import Ask, Limits, Pages, Reading, Store
from bottega.retrieval.document import Document
from bottega.retrieval.media import DOCX, EMAIL, PDF, PPTX, XLSX, media_type_of

__all__ = ["FORMATS", "Ask", "Limits", "Reading", "Store", "convert", "pages_of", "read_bytes"]

FORMATS: dict[str, str] = {
    "text/markdown": "markdown",
    "text/plain": "text",
    "text/html": "html",
    "text/csv": "delimited",
    "text/tab-separated-values": "delimited",
    PDF: "pdf",
    DOCX: "docx",
    XLSX: "xlsx",
    PPTX: "pptx",
    EMAIL: "mail",
    "image": "picture",
    "audio": "sound",
}
"""Media type, or its first half, to the module in this folder whose ``read`` turns a `Reading` into `Pages`."""


async def convert(
    path: Path,
    *,
    name: str = "",
    ask: Ask | None = None,
    store: Store | None = None,
    limits: Limits | None = None,
) -> Document:
    """Read one source file.

    Args:
        path: the file.
        name: what passages and citations call it; the file's own name by default.
        ask: runs the engines ``ocr`` and ``transcribe``; without it pictures and sound are refused.
        store: keeps bytes as an artifact that those engines can locate.
        limits: how much is read before a file is refused.

    Raises:
        UnreadableSource: naming the file, what is wrong with it and what to do.
        ExtraMissing: when the format needs an optional package.
        Cancelled: when an engine that was asked is stopped.
    """
    limits = limits or Limits()
    name = name or path.name
    data = await asyncio.to_thread(read_bytes, path, limits)
    reading = Reading(
        name=name,
        where=str(path),
        media_type=media_type_of(data, path.name, where=str(path)),
        data=data,
        sha256=digest_bytes(data),
        limits=limits,
        ask=ask,
        store=store,
    )
    pages = [page async for page in pages_of(reading)]
    document = await asyncio.to_thread(
        compose, name, reading.sha256, reading.media_type, pages, reading.notes
    )
    if not document.passages:
        raise reading.refuse("the file holds no text", "give a file with text in it")
    return document


async def pages_of(reading: Reading) -> AsyncGenerator[list[Block]]:
    """The pages of a source, one after the other; long formats are read as they are asked for.

    Raises:
        As `convert`.
    """
    module = FORMATS.get(reading.media_type) or FORMATS[reading.media_type.partition("/")[0]]
    read: Any = import_module(f"bottega.retrieval.convert.{module}").read
    if inspect.isasyncgenfunction(read):
        async for page in cast(AsyncIterator[list[Block]], read(reading)):
            yield page
        return
    work = read(reading) if inspect.iscoroutinefunction(read) else asyncio.to_thread(read, reading)
    for page in await cast(Awaitable[Pages], work):
        yield page


def read_bytes(path: Path, limits: Limits) -> bytes:
    """All bytes of a source file, its size judged before the first byte is read.

    Raises:
        UnreadableSource: when it is missing, no file, empty, too large, or may not be read.
    """
    where = str(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableSource("this is a folder", remedy="give its files", where=where)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableSource("this is not a regular file", remedy="give a file", where=where)
        if status.st_size > limits.file_bytes:
            raise UnreadableSource(
                f"{status.st_size / 1e6:,.0f} MB; the limit for a source is {limits.file_bytes / 1e6:,.0f} MB",
                remedy="give only the part that matters",
                where=where,
            )
        with path.open("rb") as file:
            data = file.read(limits.file_bytes)
    except FileNotFoundError as error:
        raise UnreadableSource("there is no such file", remedy="check the path", where=where) from error
    except PermissionError as error:
        raise UnreadableSource(
            "the file may not be read", remedy="give yourself read permission on it", where=where
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreadableSource(
            f"the file cannot be read: {reason}", remedy="check the path and the disk", where=where
        ) from error
    if not data.strip(b" \t\r\n\x0b\x0c\x00"):
        raise UnreadableSource(
            "the file is empty" if not data else "the file holds nothing but white space",
            remedy="give a file with text in it",
            where=where,
        )
    return data
