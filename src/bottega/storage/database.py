"""The seam under all state: atomic changes, committed in groups."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bottega.core.errors import InvalidValue, StorageFailed
from bottega.storage.change import Change, Transaction, Work, turned
from bottega.storage.wakes import Ring, Wakes

T = TypeVar("T")


class _Refused(Exception):
    """Somebody's change was refused in the middle of a group."""


class Database(ABC):
    """Changes wait for their turn; whoever gets it commits all that wait as one group.

    So one caller pays for one commit, and sixty-four at once pay for one together. A change that is refused (its
    work raises) takes nothing else with it. ``durable`` changes survive a power cut when the call returns;
    the others survive the end of the process, and a power cut may take the last of them.
    """

    keyed = False  # some tables are kept in the order of their key, and not beside it
    failures: tuple[type[Exception], ...] = (
        StorageFailed,
    )  # of the database itself, which end a whole group
    syncs_aside = False  # what is committed can be made to survive a power cut afterwards, see `sync`

    def __init__(self, wakes: Wakes) -> None:
        self.wakes = wakes
        self.always_durable = False  # every commit survives a power cut, at the price of a sync each
        self.rings: Ring = ""  # set by a change: who waits for it
        self.tail: tuple[int, str] | None = (
            None  # number and time of the newest entry, within a transaction that knows
        )
        self._turn = threading.Lock()
        self._waiting: deque[Change[Any]] = deque()
        self._coming = False  # a flush that has not begun
        self._along: list[tuple[Work[Any], Callable[[], object]]] = []
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="bottega-commit")

    def write(self, work: Work[T], *, durable: bool = False) -> T:
        """Do an atomic change and wait until it is committed. ``work`` is called again after a lost connection.

        Raises:
            StorageFailed: the database cannot write; nothing has changed.
            BottegaError: as ``work`` raised it; nothing of it has changed.
        """
        change = Change(work, durable=durable)
        self._waiting.append(change)
        try:
            with self._in_turn(wait=False) as mine:
                if mine:
                    self._commit(self._drained())
            return change.result()
        except BaseException:
            change.give_up()  # Ctrl-C before its turn: nobody shall do it later
            raise

    def offer(self, work: Work[T], *, durable: bool = False, here: bool = False) -> Change[T]:
        """Have an atomic change made, and give its outcome, which may be still to come. See `ended`.

        A change that waits for nobody and for no disk is made at once: handing it to a thread would cost more. With
        ``here`` this thread may wait for the disk.
        """
        change = Change(work, durable=durable)
        durable = durable or self.always_durable
        if (here or not durable) and not self._waiting and self._turn.acquire(blocking=False):
            try:
                if self._begun_at_once(durable):
                    self._commit([change])
                    return change
            finally:
                self._turn.release()
                if self._waiting:
                    self._flush_soon()
        self._waiting.append(change)
        self._flush_soon()
        return change

    def along(self, work: Work[Any], written: Callable[[], object]) -> None:
        """Have a change made that nobody waits for: in the next commit and before all else in it, which may name it.

        ``written`` is called when it is committed. It must not be refused; a commit that fails leaves it for the next.
        """
        self._along.append((work, written))

    def sync(self, then: Callable[[StorageFailed | None], object]) -> None:
        """Make all that is committed by now survive a power cut, beside other work, and call this, in whatever thread.

        Only where `syncs_aside` says so. An error says that the disk has not confirmed it.
        """
        raise NotImplementedError

    async def write_async(self, work: Work[T], *, durable: bool = False) -> T:
        """As `write`, without holding up the event loop; who is cancelled before the turn has changed nothing."""
        change = self.offer(work, durable=durable)
        try:
            while not change.done():
                await turned(change)
        except asyncio.CancelledError:
            change.give_up()
            raise
        return change.result()

    @abstractmethod
    def rows(self, query: str, *values: object) -> list[Any]:
        """All rows of a query, as committed.

        Raises:
            StorageFailed: the database cannot be read.
        """

    def rows_at_hand(self, query: str, *values: object) -> list[Any]:
        """As `rows`, for few rows that this process has probably just written."""
        return self.rows(query, *values)

    def close(self) -> None:
        """Finish what waits and close."""
        if self._along:
            with suppress(StorageFailed):  # nothing names it
                self.write(lambda _: None)
        self._flusher.shutdown(wait=True)
        with self._in_turn():
            self._close()

    def _aside(self, call: Callable[[], None]) -> None:
        """Call something in the thread that commits."""
        try:
            self._flusher.submit(call)
        except RuntimeError:  # it has ended, and who still waits shall hear that the database is closed
            call()

    @contextmanager
    def _in_turn(self, *, wait: bool = True) -> Generator[bool]:
        """Whether the turn is ours, to the end. Who came meanwhile waits for no turn but for an outcome, and is seen to."""
        mine = self._turn.acquire(blocking=wait)
        try:
            yield mine
        finally:
            if mine:
                self._turn.release()
                if self._waiting:
                    self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._coming:  # one that comes takes all that waits
            self._coming = True
            self._aside(self._flush)

    def _flush(self) -> None:
        self._coming = False
        with self._in_turn():
            self._commit(self._drained())

    def _drained(self) -> list[Change[Any]]:
        """All that waits, in the order in which it came, without what its caller has given up."""
        group: list[Change[Any]] = []
        while self._waiting:
            change = self._waiting.popleft()
            if change.begin():
                group.append(change)
        return group

    def _commit(self, group: Sequence[Change[Any]]) -> None:
        """Commit these and tell each its outcome; called with the turn."""
        if not group:
            return
        try:
            tell = self._commit_group(
                group, durable=self.always_durable or any(each.durable for each in group)
            )
        except Exception as error:  # noqa: BLE001 - goes to everyone in the group
            for change in group:
                change.end(error=error)
            return
        except BaseException:  # Ctrl-C in the thread whose turn it is
            for change in group:
                change.end(error=StorageFailed("interrupted; it may not have been written"))
            raise
        for each in tell:
            each()
        if self.rings:
            ring, self.rings = self.rings, ""
            self._ring(ring)

    def _commit_group(self, group: Sequence[Change[Any]], durable: bool) -> list[Callable[[], object]]:
        """One transaction over the group. When one of several is refused all are made again, each to be undone alone."""
        try:
            return self._made(group, durable, apart=False)
        except _Refused:
            return self._made(group, durable, apart=True)

    def _made(
        self, group: Sequence[Change[Any]], durable: bool, *, apart: bool
    ) -> list[Callable[[], object]]:
        transaction = self._begin(durable)
        self.tail = None
        along = [*self._along]
        tell = [written for _, written in along]
        try:
            for work, _ in along:
                work(transaction)
            for change in group:
                if len(group) == 1:
                    tell.append(change.run(transaction))
                    continue
                if not apart:
                    try:
                        tell.append(change.run(transaction))
                    except self.failures:
                        raise
                    except Exception as refusal:
                        raise _Refused from refusal
                    continue
                transaction.execute("SAVEPOINT one")
                try:
                    tell.append(change.run(transaction))
                except self.failures:
                    raise
                except Exception as refusal:  # noqa: BLE001 - goes to the one who asked
                    transaction.execute("ROLLBACK TO SAVEPOINT one")
                    self.tail = None
                    tell.append(partial(change.end, error=refusal))
                transaction.execute("RELEASE SAVEPOINT one")
            self._end()
        except BaseException:
            self._undo()
            raise
        del self._along[: len(along)]
        return tell

    @abstractmethod
    def version(self, transaction: Transaction | None = None) -> int:
        """The version of the tables: 0 when there are none yet."""

    @abstractmethod
    def set_version(self, transaction: Transaction, version: int) -> None:
        """Note the version of the tables."""

    @abstractmethod
    def statements(self, text: str) -> list[str]:
        """The statements of a schema in this database's words."""

    def _begun_at_once(self, durable: bool) -> bool:
        """Begin, if that needs no waiting; `_begin` then goes on with it. Called with the turn."""
        return False

    @abstractmethod
    def _begin(self, durable: bool) -> Transaction:
        """Begin; nobody else changes anything until `_end` or `_undo`."""

    @abstractmethod
    def _end(self) -> None:
        """Commit."""

    @abstractmethod
    def _undo(self) -> None:
        """Roll back, whatever state it is in; never raises."""

    @abstractmethod
    def _close(self) -> None:
        """Close connections."""

    def purge(self, *, waited_for: bool = True) -> bool:
        """Take what was deleted out of the database's files; False when something of it may still lie there.

        Unless it is ``waited_for``, only so far as others need not wait.
        """
        return False

    def copy_to(self, path: Path) -> None:
        """Write the database as it is now into a new file, while others work on.

        Raises:
            InvalidValue: this database has tools of its own for that.
        """
        raise InvalidValue("this database is backed up by its own tools", remedy="use pg_dump")

    def _ring(self, ring: Ring) -> None:
        """Wake those who wait for a change, in this process and in others."""
        self.wakes.ring(ring)
