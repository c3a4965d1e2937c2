"""Named blobs: the seam between the artifact store and the place where its bytes lie."""

import errno
import os
import re
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bottega.core.errors import InvalidValue, NotFound
from bottega.storage.disk import appearing, disk, draft, locked, sync_file, sync_folder

NAME = re.compile(r"[0-9a-f]{64}")
PLACE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{62}")
INCOMING = "incoming"
LOCK = ".lock"
SETTLED = 60.0  # seconds after which the folder entry of a new file is surely on disk


@dataclass(frozen=True)
class Stored:
    """One blob. A name that is not 64 hexadecimal digits is none of ours."""

    name: str
    size: int  # bytes
    modified: float  # seconds since 1970, by the clock of the place


class Objects(ABC):
    """Blobs by name, 64 hexadecimal digits; a blob is there whole or not at all, and never changes.

    Every method may raise `StorageFailed` when the place cannot be reached, read or written, and
    `InvalidValue` for a name of another form.
    """

    where: str
    """The place, for messages."""
    staging: Path | None
    """A folder from which `put` takes a file without a copy, if there is one."""
    light: int = -1
    """Bytes of the largest blob that `along` takes, -1 when it takes none."""

    @abstractmethod
    def put(self, name: str, source: Path) -> None:
        """Keep the file under this name; it is durable on return. The file is used up: it may be moved.

        What is there under the name is replaced at one stroke.
        """

    def put_bytes(self, name: str, data: bytes) -> None:
        """As `put`, for bytes in memory."""
        assert self.staging is not None
        with disk(self.staging), draft(self.staging) as made:
            made.write_bytes(data)
            self.put(name, made)

    def along(self, name: str, data: bytes) -> None:
        """Have bytes, at most `light` of them, kept together with the next change of the state, which may name them.

        They can be read here at once, and elsewhere when that change is committed.
        """
        raise NotImplementedError

    def read(self, name: str) -> bytes | None:
        """The bytes, if they need not be read from a file."""
        return None

    @abstractmethod
    def fetch(self, name: str, target: Path) -> None:
        """Write the blob to ``target``, streamed.

        Raises:
            NotFound: there is none; ``target`` is not made.
        """

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Bytes of the blob, None when there is none."""

    @abstractmethod
    def renew(self, name: str, size: int) -> bool:
        """Whether a blob of this size is there and counts as new from now on; if not, put it again."""

    @abstractmethod
    def delete(self, name: str, *, older_than: float | None = None) -> bool:
        """Remove the blob; with ``older_than`` (seconds since 1970) only if it has not been renewed since.

        Returns whether there was one to remove.
        """

    @abstractmethod
    def list(self) -> Iterator[Stored]:
        """Everything at the place but what is in the making, foreign things under names of another form."""

    @abstractmethod
    def local(self, name: str) -> Path | None:
        """The file itself, if it lies on this disk and is there; read it, never write it."""


def checked(name: str) -> str:
    """The name, if it has the form of one.

    Raises:
        InvalidValue: it has another form, so it could lead out of the store.
    """
    if not NAME.fullmatch(name):
        raise InvalidValue(f"'{name}' is not the name of a stored object", remedy="use 64 hexadecimal digits")
    return name


class LocalObjects(Objects):
    """Read-only files under ``root/ab/cdef...``; files in the making under ``root/incoming``.

    Renewal, replacement and conditional deletion exclude one another by a lock file, so a blob that was
    just renewed is never deleted as an old one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = str(root)
        self.staging = root / INCOMING

    def put(self, name: str, source: Path) -> None:
        """Make it durable, then visible; a file from another disk is copied first."""
        place = self._place(name)
        with disk(self.root):
            self._settle(source, place)

    def fetch(self, name: str, target: Path) -> None:
        """Copy the file."""
        place = self._place(name)
        with disk(target.parent), appearing(target) as made:
            try:
                shutil.copyfile(place, made)
            except FileNotFoundError as error:
                raise NotFound(f"object {name[:12]} is not there", where=self.where) from error

    def size(self, name: str) -> int | None:
        """Bytes of the file."""
        place = self._place(name)
        with disk(self.root):
            return place.stat().st_size if place.is_file() else None

    def renew(self, name: str, size: int) -> bool:
        """Set its time to now; whoever made it a moment ago may not have synced its folder yet, so that is done."""
        place = self._place(name)
        with disk(self.root), locked(self.root / LOCK, shared=True):
            if not place.is_file() or (found := place.stat()).st_size != size:
                return False
            if abs(time.time() - found.st_mtime) < SETTLED:
                sync_folder(place.parent)
            os.utime(place)
            return True

    def delete(self, name: str, *, older_than: float | None = None) -> bool:
        """Unlink the file; who has it open reads on."""
        place = self._place(name)
        if not place.is_file():
            return False
        with disk(self.root), locked(self.root / LOCK):
            if not place.is_file() or (older_than is not None and place.stat().st_mtime >= older_than):
                return False
            place.unlink()
            sync_folder(place.parent)
            return True

    def list(self) -> Iterator[Stored]:
        """Walk the folder in order of names; a foreign file is named by its path, from ``./`` on."""

        def fail(error: OSError) -> None:
            raise error

        if not self.root.exists():
            return
        with disk(self.root):
            for folder, folders, files in os.walk(self.root, onerror=fail):
                if Path(folder) == self.root:
                    folders[:] = [each for each in folders if each != INCOMING]
                    files = [each for each in files if each != LOCK]
                folders.sort()
                for path in (Path(folder, each) for each in sorted(files)):
                    place = path.relative_to(self.root).as_posix()
                    name = place.replace("/", "") if PLACE.fullmatch(place) else f"./{place}"
                    try:
                        found = path.lstat()
                    except FileNotFoundError:  # deleted meanwhile
                        continue
                    yield Stored(name=name, size=found.st_size, modified=found.st_mtime)

    def local(self, name: str) -> Path | None:
        """The file itself."""
        place = self._place(name)
        return place if place.is_file() else None

    def _place(self, name: str) -> Path:
        return self.root / checked(name)[:2] / name[2:]

    def _settle(self, source: Path, place: Path) -> None:
        sync_file(source)
        source.chmod(0o444)
        os.utime(source)
        try:
            with locked(self.root / LOCK, shared=True):
                if not place.parent.is_dir():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    sync_folder(self.root)
                    sync_folder(self.root.parent)
                source.replace(place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with draft(self.root / INCOMING) as copy:
                shutil.copyfile(source, copy)
                self._settle(copy, place)
            source.unlink()
        else:
            sync_folder(place.parent)
