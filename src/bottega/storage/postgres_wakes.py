"""Wakes for the processes of several hosts: PostgreSQL tells each of them what the others have committed."""

import selectors
import socket
import threading
from typing import Any

import psycopg

from bottega.core.errors import StorageFailed
from bottega.storage.postgres_link import FIRST_PAUSE, LONGEST_PAUSE, Address
from bottega.storage.wakes import Ring, Wakes


class Notified(Wakes):
    """Rings the bells of this process whenever another one has committed (``LISTEN`` on a connection of its own).

    While the connection is lost rings are missed; so it rings once each time it is there again, and who waits
    looks again.
    """

    def __init__(self, address: Address, writer: int) -> None:
        super().__init__()
        self._address = address
        self._own = str(writer)
        self._hearing: threading.Thread | None = None
        self._ending, self._end = socket.socketpair()

    def close(self) -> None:
        """Stop listening to other processes."""
        with self._starting:
            if self._end.fileno() == -1:
                return
            self._end.send(b".")
            if self._hearing is not None:
                self._hearing.join()
            self._ending.close()
            self._end.close()

    def _open(self) -> None:
        with self._starting:
            if self._hearing is None:
                self._hearing = threading.Thread(target=self._hear_others, name="bottega-wake", daemon=True)
                self._hearing.start()

    def _hear_others(self) -> None:
        pause = FIRST_PAUSE
        with selectors.DefaultSelector() as ends:
            ends.register(self._ending, selectors.EVENT_READ)
            while True:
                try:
                    with self._address.connect() as connection:
                        connection.execute(f"LISTEN {self._address.channel}".encode())
                        self.ring_here()
                        pause = FIRST_PAUSE
                        return self._until_ending(connection)
                except (StorageFailed, psycopg.Error):
                    if ends.select(pause):
                        return
                    pause = min(2 * pause, LONGEST_PAUSE)

    def _until_ending(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        """Raises psycopg.OperationalError when the connection is lost."""
        with selectors.DefaultSelector() as heard:
            heard.register(self._ending, selectors.EVENT_READ)
            heard.register(connection.fileno(), selectors.EVENT_READ)
            while all(key.fileobj is not self._ending for key, _ in heard.select()):
                connection.pgconn.consume_input()
                rung: Ring = ""
                while (told := connection.pgconn.notifies()) is not None:
                    writer, _, kind = told.extra.decode().partition(" ")
                    if writer != self._own and rung != "all":
                        rung = "steps" if kind == "steps" else "all"
                if rung:
                    self.ring_here(rung)
