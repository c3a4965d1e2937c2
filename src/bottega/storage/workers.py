"""Who is at work: a worker is known by a lock that ends with its process, and by a beat that others watch."""

import fcntl
import os
import secrets
import socket
import threading
from pathlib import Path
from typing import IO

from bottega.core.errors import StorageFailed
from bottega.storage.database import Database

BEAT = 5.0  # seconds between two heartbeats
SILENCE = 4  # beats of this process without one of another, after which the other is taken for gone
LAST = 2.0  # seconds that the last heartbeat is waited for
SIGNED_OFF = "it has signed off"
RESTARTED = "its host has started again since"
NEW = ".new"  # ends the name of a lock file that is not locked yet


class Workers:
    """This process as a worker, and what it can tell of the others.

    On this host a worker's lock file says at once whether it lives: the system gives the lock back when the process
    ends, however it ends. A worker of another host, or one that hangs, is gone when its beat has not moved while this
    process wrote `SILENCE` beats of its own. So no two clocks are compared and no clock is read: one that is set back
    or forth changes nothing, and while the database is away for all nobody is taken for gone. A worker that was
    wrongly taken for gone writes late, and its fencing token is refused.
    """

    def __init__(self, database: Database, folder: Path, *, beat: float = BEAT) -> None:
        self.beat = beat
        self._database = database
        self._folder = folder
        self.host = f"{socket.gethostname()}-{_boot()}"
        self._here = f"worker:{self.host}:{_place_of(folder)}:"
        self.id = f"{self._here}{os.getpid()}:{secrets.token_hex(4)}"
        self._lock: IO[bytes] | None = None
        self._beating: threading.Thread | None = None
        self._beats = 0  # those that were written
        self._seen: dict[str, tuple[int, int]] = {}  # another's beat, and ours when it last moved
        self._watched: set[str] = set()
        self._changing = threading.Lock()
        self._ending = threading.Event()

    @property
    def registered(self) -> str:
        """This worker's id once it is registered, else ""."""
        return self.id if self._lock is not None else ""

    def register(self) -> str:
        """Take the lock, begin to beat, and give this worker's id. Calling it again changes nothing.

        Raises:
            StorageFailed: the folder of locks cannot be written, or this worker has signed off.
        """
        with self._changing:
            if self._lock is not None:
                return self.id
            if self._ending.is_set():
                raise StorageFailed("this worker has signed off", where=self.id)
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._sweep()
                lock = self._take(self._place(self.id))
            except OSError as error:
                raise StorageFailed(
                    f"a worker cannot be registered: {error}", where=str(self._folder)
                ) from error
            try:
                self._database.write(
                    lambda transaction: (
                        transaction.execute(
                            "INSERT INTO workers (id, host, beat) VALUES (?, ?, 0) ON CONFLICT DO NOTHING",
                            (self.id, self.host),
                        ).rowcount
                    )
                )
            except BaseException:
                lock.close()
                raise
            self._lock = lock  # only now may steps be leased to it
            self._beating = threading.Thread(target=self._keep_beating, name="bottega-beat", daemon=True)
            self._beating.start()
            return self.id

    def gone(self, worker: str) -> str:
        """Why a worker can no longer be at work, or "" while it may be."""
        if worker == self.id:
            return ""
        rows = self._database.rows("SELECT beat FROM workers WHERE id = ?", worker)
        if not rows:
            return SIGNED_OFF
        if worker.startswith(self._here) and not self._locked(worker):
            return "its process has ended"
        beat = rows[0][0]
        last, since = self._seen.get(worker, (None, 0))
        if beat != last:
            self._seen[worker] = (beat, self._beats)
            return ""
        missed = self._beats - since
        if missed < SILENCE:
            return ""
        host = worker.split(":")[1]
        if host != self.host and host.rpartition("-")[0] == self.host.rpartition("-")[0]:
            return RESTARTED
        return f"no heartbeat while {missed} of ours were written"

    def watch(self, worker: str) -> None:
        """Ring this process's bells when a worker of this host ends; needs no polling."""
        with self._changing:
            if worker == self.id or worker in self._watched or not worker.startswith(self._here):
                return
            self._watched.add(worker)
        threading.Thread(target=self._await_end, args=(worker,), name="bottega-watch", daemon=True).start()

    def close(self) -> None:
        """Sign off: leases that are still held may be taken over at once, and do not count against their steps."""
        with self._changing:
            self._ending.set()
            if self._lock is None:
                return
            if self._beating is not None:
                self._beating.join(LAST)  # a beat that is being written is not written to a closed database
            try:
                self._database.write(
                    lambda transaction: (
                        transaction.execute("DELETE FROM workers WHERE id = ?", (self.id,)).rowcount
                    )
                )
            except StorageFailed:
                pass  # only a line that nobody needs any more
            finally:
                self._place(self.id).unlink(missing_ok=True)
                self._lock.close()
                self._lock = None

    def _keep_beating(self) -> None:
        while not self._ending.wait(self.beat):
            try:
                self._database.write(
                    lambda transaction: (
                        transaction.execute(
                            "UPDATE workers SET beat = beat + 1 WHERE id = ?", (self.id,)
                        ).rowcount
                    )
                )
            except StorageFailed:
                continue  # the database is away for a moment; if only for us, others take over
            self._beats += 1

    def _await_end(self, worker: str) -> None:
        try:
            with self._place(worker).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
        except OSError:
            pass  # it has ended already, or cannot be watched: then its beat tells
        self._watched.discard(worker)
        self._database.wakes.ring_here()

    @staticmethod
    def _take(path: Path) -> IO[bytes]:
        """Make a lock file that is locked from the moment it can be seen under its name."""
        new = path.with_name(path.name + NEW)
        lock = new.open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(path)
        except OSError:
            lock.close()
            raise
        return lock

    def _sweep(self) -> None:
        """Forget workers of this folder whose process has ended, except those whose leases nobody has taken over."""
        ended = [
            worker
            for (worker,) in self._database.rows(
                "SELECT id FROM workers WHERE id NOT IN (SELECT worker FROM leases)"
            )
            if worker.startswith(self._here) and not self._locked(worker)
        ]
        for worker in ended:
            self._place(worker).unlink(missing_ok=True)
            self._database.write(
                lambda transaction, worker=worker: (
                    transaction.execute("DELETE FROM workers WHERE id = ?", (worker,)).rowcount
                )
            )

    def _locked(self, worker: str) -> bool:
        try:
            with self._place(worker).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:  # BlockingIOError; whatever else keeps us from looking is no proof of an end
            return True
        return False

    def _place(self, worker: str) -> Path:
        return self._folder / worker.removeprefix("worker:").replace(":", "_")


def _boot() -> str:
    """The first digits of what this start of the machine is called, so that a lock of an earlier one is no lock."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return "0"


def _place_of(folder: Path) -> str:
    """Which folder of locks this is, whatever path leads to it: a lock in another folder cannot be seen from here."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = folder.stat()
    except OSError:
        return "0"  # `register` will say so
    return f"{found.st_dev:x}.{found.st_ino:x}"
