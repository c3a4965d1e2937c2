"""Who is at work: a worker is known by a lock that ends with its process, and by a beat that others watch."""

import fcntl
import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from bottega.core.errors import StorageFailed
from bottega.storage.database import Database

BEAT = 5.0  # seconds between two heartbeats
SILENCE = 20.0  # seconds of ours without one of theirs after which a worker is taken for gone


class Workers:
    """This process as a worker, and what it can tell of the others.

    On this host a worker's lock file says at once whether it lives: the system gives the lock back when the process
    ends, however it ends. A worker of another host, or one that hangs, is gone when its beat has not moved while this
    worker's own moved for `SILENCE` seconds: no clocks are compared, and a database that is away silences all alike.
    A worker that was wrongly taken for gone writes late, and its fencing token is refused.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self.host = f"{socket.gethostname()}-{_boot()}"
        self.id = f"worker:{self.host}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lock: IO[bytes] | None = None
        self._seen: dict[str, tuple[int, int]] = {}  # a worker's beat, and ours when it was new
        self._beats = 0
        self._ending = threading.Event()
        self._beating: threading.Thread | None = None
        self._registering = threading.Lock()  # steps that start together register from several threads

    @property
    def registered(self) -> str:
        """This worker's id once it is registered, else ""."""
        return self.id if self._lock is not None else ""

    def register(self) -> str:
        """Take the lock, begin to beat, and give this worker's id. Calling it again changes nothing.

        Raises:
            StorageFailed: the folder of locks cannot be written.
        """
        with self._registering:
            if self._lock is not None:
                return self.id
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = self._place(self.id).open("wb")
                fcntl.flock(lock, fcntl.LOCK_EX)
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
            self._beating = threading.Thread(target=self._beat, name="bottega-beat", daemon=True)
            self._beating.start()
            self._lock = lock  # only now may steps be leased to it
            return self.id

    def gone(self, worker: str) -> str:
        """Why a worker can no longer be at work, or "" while it may be."""
        if worker == self.id:
            return ""
        if worker.split(":")[1] == self.host and not self._locked(worker):
            return "its process has ended"
        rows = self._database.rows("SELECT beat FROM workers WHERE id = ?", worker)
        if not rows:
            return "it has signed off"
        last, since = self._seen.get(worker, (None, 0))
        if rows[0][0] != last:
            self._seen[worker] = (rows[0][0], self._beats)
            return ""
        return f"no heartbeat for {SILENCE:.0f} s" if (self._beats - since) * BEAT >= SILENCE else ""

    def watch(self, worker: str, call: Callable[[], None]) -> None:
        """Call back, from another thread, when a worker of this host ends; needs no polling."""
        if worker.split(":")[1] != self.host or worker == self.id:
            return

        def wait() -> None:
            try:
                with self._place(worker).open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_SH)
            except FileNotFoundError:
                pass
            call()

        threading.Thread(target=wait, name="bottega-watch", daemon=True).start()

    def close(self) -> None:
        """Give the lock back; leases that are still held may be taken over at once."""
        self._ending.set()
        if self._lock is not None:
            self._place(self.id).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None
            try:
                self._database.write(
                    lambda transaction: (
                        transaction.execute("DELETE FROM workers WHERE id = ?", (self.id,)).rowcount
                    )
                )
            except StorageFailed:
                return  # only a line that nobody needs any more

    def _beat(self) -> None:
        while not self._ending.wait(BEAT):
            try:
                self._database.write(
                    lambda transaction: (
                        transaction.execute(
                            "UPDATE workers SET beat = beat + 1 WHERE id = ?", (self.id,)
                        ).rowcount
                    )
                )
            except StorageFailed:
                continue  # the database is away for a moment; if it stays away, others take over
            self._beats += 1

    def _locked(self, worker: str) -> bool:
        path = self._place(worker)
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        path.unlink(missing_ok=True)
        return False

    def _place(self, worker: str) -> Path:
        return self._folder / worker.removeprefix("worker:").replace(":", "_")


def _boot() -> str:
    """The first digits of what this start of the machine is called, so that a lock of an earlier one is no lock."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return "0"
