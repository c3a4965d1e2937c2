"""An atomic change on its way: what it does, and what came of it."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar, cast

T = TypeVar("T")


class Cursor(Protocol):
    """What a statement gives back."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """The next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows."""
        ...


class Transaction(Protocol):
    """One atomic change. Statements use ``?`` for values on every database."""

    def execute(self, query: str, values: Sequence[object] = (), /) -> Cursor:
        """Run one statement."""
        ...


Work = Callable[[Transaction], T]


class Change(Generic[T]):
    """An atomic change on its way, and its outcome. A future, but lighter: every call that is served makes two."""

    __slots__ = ("_begun", "_error", "_guard", "_over", "_then", "_value", "durable", "work")

    def __init__(self, work: Work[T], *, durable: bool) -> None:
        self.work = work
        self.durable = durable
        self._guard = threading.Lock()
        self._begun = self._over = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._then: list[Callable[[], object]] = []

    def begin(self) -> bool:
        """Its turn has come; False when it was given up, or was begun before."""
        with self._guard:
            mine, self._begun = not self._begun, True
        return mine

    give_up = begin  # whoever comes first decides whether it is made

    def run(self, transaction: Transaction) -> Callable[[], None]:
        """Do it, and give back what tells its caller once the group is committed."""
        value = self.work(transaction)
        return lambda: self.end(value)

    def end(self, value: T | None = None, error: BaseException | None = None) -> None:
        """It is committed, or was refused."""
        with self._guard:
            self._value, self._error, self._over = value, error, True
        for call in self._then:
            call()

    def then(self, call: Callable[[], object]) -> None:
        """Call this when it has ended, in whatever thread; at once when it has."""
        with self._guard:
            if not self._over:
                return self._then.append(call)
        call()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._over

    def exception(self) -> BaseException | None:
        """Why it was refused, once it has ended."""
        return self._error

    def result(self) -> T:
        """Its outcome; waits for it.

        Raises:
            StorageFailed: the database cannot write.
            BottegaError: as its work raised it.
        """
        if not self._over:
            over = threading.Event()
            self.then(over.set)
            over.wait()
        if self._error is not None:
            raise self._error
        return cast(T, self._value)


async def ended(change: Change[T]) -> T:
    """The outcome of a change that is not given up: a cancellation of this task is raised when it has ended."""
    stopped: asyncio.CancelledError | None = None
    while not change.done():
        try:
            await turned(change)
        except asyncio.CancelledError as stop:
            stopped = stop
    if stopped is not None:
        raise stopped  # the cancellation is what is told
    return change.result()


async def turned(change: Change[Any]) -> None:
    """Wait, once, for a change to end."""
    loop = asyncio.get_running_loop()
    waiting = loop.create_future()

    def wake() -> None:
        if not waiting.done():
            waiting.set_result(None)

    def tell() -> None:
        with suppress(RuntimeError):  # its loop is closed
            loop.call_soon_threadsafe(wake)

    change.then(tell)
    await waiting


async def to_its_end(work: "asyncio.Future[T]") -> T:
    """Await what must not stop half-way: a cancellation of this task is raised when it has ended."""
    stopped: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as stop:
            stopped = stop
    if stopped is not None:
        work.exception()  # the cancellation is what is told
        raise stopped
    return work.result()
