"""Sleep until something was committed, here or in another process of this host: by a signal, not by polling."""

import asyncio
import errno
import os
import secrets
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

TICK = 1_000_000_000  # nanoseconds; file systems note the time of a change more coarsely than changes follow
NEW = ".new"  # ends the name of a pipe that is not read yet


Ring = Literal["", "steps", "all"]  # what a commit is told of: nobody, who waits for steps, everybody
MARKS: Mapping[Ring, bytes] = {"steps": b",", "all": b"!"}


class Bell:
    """Rung after each commit that others may wait for. Clear it, look, and wait: no ring is missed."""

    def __init__(self, *, steps: bool) -> None:
        self.steps = steps
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._event = asyncio.Event()

    def clear(self) -> None:
        """Forget earlier rings."""
        self._event.clear()

    def ring(self) -> None:
        """Wake the sleeper; from any thread."""
        if self._event.is_set():
            return
        if threading.get_ident() == self._thread:
            self._event.set()
            return
        with suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float | None = None) -> bool:
        """Sleep until the next ring, at most ``seconds``; False when the time ran out."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class Wakes:
    """Rings every bell of this process, and those of the other processes through named pipes in a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._name = str(folder) if folder else ""
        self._bells: set[Bell] = set()
        self._pipe: tuple[Path, int] | None = None
        self._starting = threading.Lock()
        self._known: tuple[int, list[str]] = (0, [])

    def ring(self, ring: Ring = "all") -> None:
        """Wake who sleeps for this, in this process and in others."""
        self.ring_here(ring)
        for path in self._others():
            try:
                handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nobody reads it: its process has ended
                    Path(path).unlink(missing_ok=True)
                continue
            try:
                os.write(handle, MARKS[ring])
            except (BlockingIOError, BrokenPipeError):
                pass  # full of rings that are not heard yet, or its process ends just now
            finally:
                os.close(handle)

    def ring_here(self, ring: Ring = "all") -> None:
        """Wake who sleeps for this in this process."""
        for bell in [*self._bells]:
            if bell.steps or ring == "all":
                bell.ring()

    @contextmanager
    def listen(self, *, steps: bool = True) -> Generator[Bell]:
        """A bell for one sleeper; without ``steps`` it is not rung when only steps were leased or ended."""
        self._open()
        bell = Bell(steps=steps)
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)

    def close(self) -> None:
        """Stop listening to other processes."""
        if self._pipe is not None:
            path, handle = self._pipe
            self._pipe = None
            path.unlink(missing_ok=True)
            os.write(handle, b".")  # lets the listener end

    def _others(self) -> list[str]:
        """Pipes of other processes; looked up again when the folder has changed, or may have within its clock's tick."""
        try:
            changed = os.stat(self._name).st_mtime_ns if self._name else 0  # noqa: PTH116 - after every commit: half the time
        except FileNotFoundError:
            changed = 0  # nobody has ever listened
        if not changed:
            return []
        if changed != self._known[0] or time.time_ns() - changed < TICK:
            own = self._pipe[0].name if self._pipe else ""
            names = os.listdir(self._name)  # noqa: PTH208 - by name: paths would take as long as the look itself
            self._known = (
                changed,
                [f"{self._name}/{name}" for name in names if not name.endswith(NEW) and name != own],
            )
        return self._known[1]

    def _open(self) -> None:
        with self._starting:
            if self._pipe is not None or self._folder is None:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}"
            new = path.with_name(path.name + NEW)
            os.mkfifo(new, 0o600)
            # Open for both ends, so that reading waits for a ring and never sees an end of file. It gets its name once
            # it is read: who rings takes a pipe that nobody reads for that of a process that has ended.
            handle = os.open(new, os.O_RDWR)
            new.rename(path)
            self._pipe = path, handle
            threading.Thread(target=self._hear, args=(handle,), name="bottega-wake", daemon=True).start()

    def _hear(self, handle: int) -> None:
        while b"." not in (rung := os.read(handle, 4096)):
            self.ring_here("all" if MARKS["all"] in rung else "steps")
        os.close(handle)
