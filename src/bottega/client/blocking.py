"""The client for code without an event loop: the same operations, each waited for."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from bottega.client.operations import AsyncClient
from bottega.core.entry import Entry

P = ParamSpec("P")
T = TypeVar("T")


def _waited(
    operation: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["Client", P], T]:
    def wait(self: "Client", *args: P.args, **named: P.kwargs) -> T:
        return self.run_coroutine(operation(self.asynchronous, *args, **named))

    wait.__name__, wait.__doc__ = operation.__name__, operation.__doc__
    return wait


class Client:
    """As `AsyncClient`, for scripts and notebooks; not for use from several threads at once."""

    plan = _waited(AsyncClient.plan)
    check = _waited(AsyncClient.check)
    start = _waited(AsyncClient.start)
    make = _waited(AsyncClient.make)
    fetch = _waited(AsyncClient.fetch)
    resume = _waited(AsyncClient.resume)
    stop = _waited(AsyncClient.stop)
    runs = _waited(AsyncClient.runs)
    run = _waited(AsyncClient.run)
    delivered = _waited(AsyncClient.delivered)
    delivered_file = _waited(AsyncClient.delivered_file)
    artifact = _waited(AsyncClient.artifact)
    reviews = _waited(AsyncClient.reviews)
    review = _waited(AsyncClient.review)
    decide = _waited(AsyncClient.decide)
    audit = _waited(AsyncClient.audit)
    checkpoint = _waited(AsyncClient.checkpoint)
    budgets = _waited(AsyncClient.budgets)
    set_budget = _waited(AsyncClient.set_budget)
    send = _waited(AsyncClient.send)
    sent = _waited(AsyncClient.sent)
    content = _waited(AsyncClient.content)
    forget = _waited(AsyncClient.forget)
    collections = _waited(AsyncClient.collections)
    index = _waited(AsyncClient.index)
    remove = _waited(AsyncClient.remove)
    search = _waited(AsyncClient.search)
    ask = _waited(AsyncClient.ask)
    history = _waited(AsyncClient.history)
    forget_session = _waited(AsyncClient.forget_session)
    delete_collection = _waited(AsyncClient.delete_collection)
    verify = _waited(AsyncClient.verify)

    def __init__(self, url: str, key: str, **how: Any) -> None:
        """Arguments as for `AsyncClient`."""
        self.asynchronous = AsyncClient(url, key, **how)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self.run_coroutine(self.asynchronous.close())
        self._runner.close()

    def events(self, run_id: str, *, after: int = -1) -> Iterator[Entry]:
        """As `AsyncClient.events`."""
        entries = self.asynchronous.events(run_id, after=after)

        async def following() -> Entry | None:
            return await anext(entries, None)

        try:
            while (entry := self.run_coroutine(following())) is not None:
                yield entry
        finally:
            self.run_coroutine(entries.aclose())

    def run_coroutine(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for one of the asynchronous operations."""
        return self._runner.run(work)
