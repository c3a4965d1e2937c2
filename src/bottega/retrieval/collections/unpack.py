"""What holds other files: ZIP and tar archives, mailboxes, and messages with attachments."""

import bz2
import gzip
import io
import lzma
import mailbox
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from bottega.core.errors import UnreadableSource
from bottega.retrieval.convert.mail import attached, parse
from bottega.retrieval.media import EMAIL, sniff

ZIP, TAR, MBOX = "application/zip", "application/x-tar", "application/mbox"
PACKED = {"application/gzip": gzip.open, "application/x-bzip2": bz2.open, "application/x-xz": lzma.open}
PIECE = 1 << 20  # bytes
_SUBJECT = re.compile(r"[^\w .,'-]+")


@dataclass(frozen=True)
class Bounds:
    """How much of an archive is unpacked before it is refused."""

    depth: int = 4  # archives within archives
    members: int = 10_000
    bytes: int = 1_000_000_000  # of all members
    member_bytes: int = 500_000_000
    ratio: int = 200  # unpacked to packed, once more than 10 MB are unpacked


@dataclass(frozen=True)
class Member:
    """A file in another; ``refused`` says why it has no data."""

    name: str
    data: bytes
    refused: UnreadableSource | None = None


def kind(data: bytes, name: str) -> str:
    """The media type of what holds other files; empty for everything else. Documents that are ZIP files are no archives."""
    lower = name.lower()
    if lower.endswith(".mbox") or (data.startswith(b"From ") and b"\nFrom: " in data[:4096]):
        return MBOX
    found = sniff(data)
    if found in (ZIP, TAR):
        return found
    if found in PACKED:
        return found
    return EMAIL if lower.endswith(".eml") and found in ("text/plain", "text/html") else ""


def members(data: bytes, name: str, where: str, bounds: Bounds) -> Iterator[Member]:
    """Every file in an archive, one at a time in memory.

    Raises:
        UnreadableSource: it is damaged, or larger than the bounds; what came before stays.
    """
    budget = _Budget(where, len(data), bounds)
    try:
        match kind(data, name):
            case "application/zip":
                yield from _zip(data, budget)
            case "application/x-tar":
                yield from _tar(data, budget)
            case "application/mbox":
                yield from _mbox(data, budget)
            case "message/rfc822":
                for each in attached(parse(data)):
                    budget.count(len(each.data))
                    yield Member(each.name, each.data)
            case packed:
                with PACKED[packed](io.BytesIO(data)) as stream:
                    inner = budget.read(stream)
                yield Member(re.sub(r"\.(gz|bz2|xz|tgz)$", "", PurePosixPath(name).name) or "inside", inner)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, lzma.LZMAError, ValueError) as error:
        raise UnreadableSource(
            f"the archive is damaged or cut off: {error}",
            remedy="fetch it again, or unpack it yourself",
            where=where,
        ) from error


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes, none at the end."""
        ...


class _Budget:
    """What may still be unpacked."""

    def __init__(self, where: str, packed: int, bounds: Bounds) -> None:
        self.where = where
        self.bounds = bounds
        self._most = min(bounds.bytes, max(10_000_000, bounds.ratio * packed))
        self._bytes = 0
        self._members = 0

    def count(self, size: int) -> None:
        """Another member of this size."""
        self._members += 1
        self._bytes += size
        self.check()

    def read(self, stream: "Readable") -> bytes:
        """A member, piece by piece, refused before it fills the memory."""
        self._members += 1
        pieces: list[bytes] = []
        size = 0
        while piece := stream.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            self._bytes += len(piece)
            self.check(size)
        return b"".join(pieces)

    def check(self, size: int = 0) -> None:
        if self._bytes > self._most or self._members > self.bounds.members or size > self.bounds.member_bytes:
            raise UnreadableSource(
                f"the archive unpacks to more than {self._most / 1e6:,.0f} MB or {self.bounds.members:,} files",
                remedy="do not trust it, or unpack it yourself and give what matters",
                where=self.where,
            )


def _zip(data: bytes, budget: _Budget) -> Iterator[Member]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if info.is_dir() or _hidden(info.filename):
                continue
            name = _inside(info.filename)
            try:
                with archive.open(info) as stream:
                    yield Member(name, budget.read(stream))
            except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
                locked = "encrypted" in str(error) or "password" in str(error)
                yield _refused(name, "it is encrypted" if locked else f"it is damaged: {error}", budget.where)


def _tar(data: bytes, budget: _Budget) -> Iterator[Member]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for info in archive:
            if _hidden(info.name):
                continue
            try:  # follows links within the archive; gives nothing for folders and devices
                stream = archive.extractfile(info)
            except (KeyError, RecursionError):
                yield _refused(
                    _inside(info.name),
                    f"it is a link to '{info.linkname}', which is not in the archive",
                    budget.where,
                )
                continue
            if stream is not None:
                yield Member(_inside(info.name), budget.read(stream))


def _mbox(data: bytes, budget: _Budget) -> Iterator[Member]:
    with tempfile.NamedTemporaryFile(prefix="bottega-") as file:  # the library reads from a path
        file.write(data)
        file.flush()
        box = mailbox.mbox(file.name, create=False)
        for number, key in enumerate(box.iterkeys(), start=1):
            message = box.get_bytes(key)
            budget.count(len(message))
            subject = _SUBJECT.sub(" ", str(parse(message).get("Subject", ""))).strip()[:60]
            yield Member(f"{number:04d} {subject or 'no subject'}.eml", message)
        box.close()


def _refused(name: str, why: str, where: str) -> Member:
    error = UnreadableSource(why, remedy="unpack it yourself and give the file", where=f"{where}!/{name}")
    return Member(name, b"", error)


def _hidden(name: str) -> bool:
    return any(
        part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in PurePosixPath(name).parts
    )


def _inside(name: str) -> str:
    """The member's path without what would lead out; it is only ever a name here, nothing is written to it."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return "/".join(parts) or "unnamed"
