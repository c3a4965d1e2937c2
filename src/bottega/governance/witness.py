"""Where signed checkpoints are kept, away from the database: whoever rewrites the one cannot rewrite the other."""

import contextlib
import errno
import fcntl
import os
import re
import tempfile
from io import FileIO
from pathlib import Path

from bottega.core.errors import StorageFailed, Tampered
from bottega.governance.checkpoint import Checkpoint
from bottega.storage.disk import sync_folder

LONGEST = 1 << 16  # bytes of one note, with the lines of other signers
_LAST_LINE = re.compile("\n— [^\n]+\n\n".encode())


class Witness:
    """Signed notes in a file, one after the other and a blank line after each, or in a folder, one file each.

    An existing folder gets `checkpoint-0000000123.txt`, named after the number of entries and never overwritten.
    Any other path is a file to append to. Neither is worth more than the place it lies in: give a disk or a share
    that those who can write the database cannot write. Nothing here makes the parent folder, because a missing
    one usually means that the disk is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, note: str) -> None:
        """Keep a note; durable when this returns. A second note for the same root in a folder changes nothing.

        Raises:
            InvalidValue: the note is no checkpoint.
            StorageFailed: it could not be written whole; nothing of it stays.
            Tampered: the folder already holds another root for this number of entries.
        """
        checkpoint = _read(note)
        try:
            if self._path.is_dir():
                self._write_file(note, checkpoint)
            else:
                self._append(note, checkpoint.origin)
        except (OSError, ValueError) as error:
            raise self._failed("written", error) from error

    def all(self) -> list[str]:
        """Every note, oldest first. What a crash cut off was never confirmed and is left out.

        Raises:
            StorageFailed: the place cannot be read.
        """
        try:
            if self._path.is_dir():
                return [path.read_text("utf-8") for path in sorted(self._path.glob("checkpoint-*.txt"))]
            data = self._path.read_bytes() if self._path.exists() else b""
            *whole, _ = data.split(b"\n\n")
            parts = [part.decode() for part in whole]
        except (OSError, UnicodeDecodeError) as error:
            raise self._failed("read", error) from error
        # A note has a blank line of its own, before its signatures.
        return [f"{body}\n\n{lines}\n" for body, lines in zip(parts[::2], parts[1::2], strict=False)]

    def _write_file(self, note: str, checkpoint: Checkpoint) -> None:
        place = self._path / f"checkpoint-{checkpoint.size:010}.txt"
        handle, name = tempfile.mkstemp(dir=self._path, prefix=".checkpoint-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o444)
            try:
                os.link(name, place)  # unlike a rename, it never replaces
            except FileExistsError:
                kept = _read(place.read_text("utf-8"))
                if (kept.origin, kept.root) != (checkpoint.origin, checkpoint.root):
                    raise Tampered(
                        f"the witness holds another root for {checkpoint.size} entries: {kept.root[:12]}, "
                        f"not {checkpoint.root[:12]}",
                        where=str(place),
                        remedy="verify the record before anything else is written",
                    ) from None
        finally:
            Path(name).unlink(missing_ok=True)
        sync_folder(self._path)

    def _append(self, note: str, origin: str) -> None:
        new = not self._path.exists()
        with self._path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            whole = _end_of_notes(file, origin)
            if os.fstat(file.fileno()).st_size > whole:  # what a crash cut off
                file.truncate(whole)
            data = f"{note}\n".encode()
            try:
                if file.write(data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):  # then it is a cut-off note like any other
                    file.truncate(whole)
                raise
        if new:
            sync_folder(self._path.parent)

    def _failed(self, what: str, error: Exception) -> StorageFailed:
        return StorageFailed(
            f"checkpoints cannot be {what}: {error}",
            where=str(self._path),
            remedy="check the path, and that its disk is there and has space",
        )


def _end_of_notes(file: FileIO, origin: str) -> int:
    """Where the last whole note ends, in bytes from the start.

    Raises:
        ValueError: what follows it is not the start of a note, so the file is not ours to cut.
    """
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - LONGEST))
    tail = file.read(size - start)
    end = max((found.end() for found in _LAST_LINE.finditer(tail)), default=0)
    rest, first_line = tail[end:], f"{origin}\n".encode()
    if (start and not end) or not (rest.startswith(first_line) or first_line.startswith(rest)):
        raise ValueError("the file holds something other than checkpoints")
    return start + end


def _read(note: str) -> Checkpoint:
    return Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
