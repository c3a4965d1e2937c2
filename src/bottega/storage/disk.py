"""Files that are there whole or not at all, locks that die with their holder, and one error for a disk that fails."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bottega.core.errors import StorageFailed


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make the bytes of ``path`` survive a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def draft(folder: Path) -> Generator[Path]:
    """An empty file (mode 0600) in ``folder`` to write into; gone at the end unless it was renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".")
    os.close(handle)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def appearing(target: Path) -> Generator[Path]:
    """A draft that takes the name ``target`` at the end; after an error nothing is there."""
    with draft(target.parent) as path:
        yield path
        path.replace(target)


@contextmanager
def whole_folder(target: Path) -> Generator[Path]:
    """An empty folder that takes the place of ``target`` at the end; after an error the one of before stays."""
    with disk(target.parent):
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix="."))
        try:
            yield temporary
            temporary.chmod(0o755)
            shutil.rmtree(target, ignore_errors=True)
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Generator[None]:
    """Hold the lock file ``path``, against other threads as well; the system gives it back when a process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextmanager
def disk(folder: Path) -> Generator[None]:
    """Name the failure of a disk.

    Raises:
        StorageFailed: for any error of the system inside; says the reason and the space that is left.
    """
    try:
        yield
    except OSError as error:
        free = f"{shutil.disk_usage(folder).free // 2**20} MiB free; " if folder.exists() else ""
        raise StorageFailed(
            f"storage failed: {error.strerror or error}",
            where=str(folder),
            remedy=f"{free}free some space or set BOTTEGA_STATE to another disk",
        ) from error
