"""Copies of artifacts on this disk: fetched or decrypted once, bounded in size, or private to this process."""

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bottega.storage.disk import disk, draft, locked

GIB = 1 << 30
LOCKS = "locks"


class Cache:
    """Files by name under one folder, for this user only (mode 0400); the least recently used go first.

    Threads and processes share it: a file is made once, however many want it at the same time. A file
    that was asked for in the last ``spare_seconds`` stays, because somebody may be about to open it; so the
    bound holds for what lies there longer, and a burst may pass it.
    """

    def __init__(self, folder: Path, *, limit: int = 20 * GIB, spare_seconds: float = 3600) -> None:
        self.folder = folder
        self.limit = limit  # bytes
        self._spare = spare_seconds

    @property
    def staging(self) -> Path:
        """Where files in the making may lie."""
        return self.folder / "incoming"

    def get(self, name: str, make: Callable[[Path], None]) -> Path:
        """The file of this name; ``make`` writes it when it is not there, and keeps none if it raises."""
        path = self.folder / name
        with disk(self.folder):
            with locked(self._lock(name)):
                if path.is_file():
                    os.utime(path)
                    return path
                with draft(self.staging) as made:
                    make(made)
                    made.chmod(0o400)
                    made.replace(path)
            self._evict(path)
        return path

    def drop(self, name: str) -> None:
        """Forget a file."""
        (self.folder / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all files, used or not."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _lock(self, name: str) -> Path:
        return self.folder / LOCKS / name[:2]  # 256 locks: two names rarely share one, and then only wait

    def _evict(self, newest: Path) -> None:
        held = [path for path in self.folder.iterdir() if path.is_file() and path != newest]
        known = [(found.st_mtime, found.st_size, path) for path in held if (found := _stat(path))]
        just = _stat(newest)  # gone already, if another reader evicted it
        total = (just.st_size if just else 0) + sum(size for _, size, _ in known)
        for _, size, path in sorted(known):
            if total <= self.limit:
                return
            with self._lock(path.name).open("ab") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:  # somebody is making or taking a file under this lock
                    continue
                found = _stat(path)
                if found and found.st_mtime <= time.time() - self._spare:
                    path.unlink()
                    total -= size


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


class PrivateFolder:
    """A folder of this process alone (mode 0700) under ``parent``, removed by `close` or when the process ends.

    A killed process removes nothing; `sweep` removes those whose lock nobody holds any more.
    """

    def __init__(self, parent: Path) -> None:
        with disk(parent):
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(parent / "lock"):
                self.path = Path(tempfile.mkdtemp(dir=parent))
                self._held = (self.path / "alive").open("wb")
                fcntl.flock(self._held, fcntl.LOCK_EX)
        self._owner = os.getpid()
        atexit.register(self.close)

    def close(self) -> None:
        """Remove the folder and all in it; a forked child removes nothing."""
        if os.getpid() == self._owner:
            shutil.rmtree(self.path, ignore_errors=True)
        self._held.close()
        atexit.unregister(self.close)


def sweep(parent: Path) -> None:
    """Remove the private folders that dead processes left under ``parent``."""
    if parent.is_dir():
        with disk(parent), locked(parent / "lock"):
            for left in parent.iterdir():
                if left.is_dir() and not _alive(left):
                    shutil.rmtree(left, ignore_errors=True)


def _alive(folder: Path) -> bool:
    try:
        with (folder / "alive").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False
