"""One writer at a time; the lock dies with its holder."""

import asyncio
import fcntl
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bottega.core.errors import Cancelled

if TYPE_CHECKING:
    from bottega.retrieval.collections.server import Server

Work = Literal["writing", "embedding"]
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0  # seconds between two attempts to have a turn


@contextmanager
def collection_lock(folder: Path, server: "Server | None" = None, work: Work = "writing") -> Generator[bool]:
    """Hold the collection's lock, or learn at once that somebody else does.

    It is that of this host, for the files that it derives; with a ``server``, that of all hosts as well. Who makes the
    vectors of another embedder holds that of ``embedding`` all the time, and that of ``writing`` only to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ("lock" if work == "writing" else work)).open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        if server is None:
            yield True
            return
        with server.writing(folder.name, work) as held:
            yield held


@asynccontextmanager
async def turn(
    folder: Path,
    server: "Server | None" = None,
    work: Work = "writing",
    *,
    cancelled: threading.Event | None = None,
    waiting: Callable[[], None] = lambda: None,
) -> AsyncGenerator[None]:
    """Hold the collection's lock, waiting as long as somebody else does; ``waiting`` is called once then.

    Raises:
        Cancelled: it was given up while it waited.
    """
    pause = FIRST_PAUSE
    while True:
        with ExitStack() as stack:
            if await asyncio.to_thread(stack.enter_context, collection_lock(folder, server, work)):
                yield
                return
        if pause == FIRST_PAUSE:
            waiting()
        if cancelled is not None and cancelled.is_set():
            raise Cancelled("stopped while another process was indexing; give the same command again")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
