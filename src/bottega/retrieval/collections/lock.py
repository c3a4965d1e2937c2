"""One writer at a time; the lock dies with its holder."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bottega.retrieval.collections.server import Server


@contextmanager
def collection_lock(folder: Path, server: "Server | None" = None) -> Generator[bool]:
    """Hold the collection's lock, or learn at once that somebody else does.

    It is that of this host, for the files that it derives; with a ``server``, that of all hosts as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        if server is None:
            yield True
            return
        with server.writing(folder.name) as held:
            yield held
