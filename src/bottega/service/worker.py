"""A worker: takes up whatever run waits, whoever submitted it and whoever left it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from bottega.core.errors import BottegaError, NotDelivered, StorageFailed
from bottega.core.moment import seconds_between
from bottega.core.run import Run
from bottega.service.operations import Bottega
from bottega.storage.change import to_its_end

RETENTION = "@retention"  # in hand as a run is; no run can be called so
AT_ONCE = 4  # runs in hand at a time; their steps keep the limits of engines and host among themselves


class Worker:
    """Works on unfinished runs until there is none, or until it is stopped."""

    def __init__(self, service: Bottega, say: Callable[[str], None] = lambda text: None) -> None:
        self._service = service
        self._say = say
        self._tickets, self._now = service.shop.tickets, service.shop.now
        self._leaving = threading.Event()
        self._refused: dict[
            str, int
        ] = {}  # runs that this host cannot do, in the round in which it found out

    async def work(self, *, until_idle: bool = False, stopped: threading.Event | None = None) -> None:
        """Take up runs as they come. A commit of anybody wakes it; nothing is polled.

        Args:
            until_idle: end when no run is left that this host can do.
            stopped: set it, and ring, to end after letting go of what is in hand.

        Raises:
            StorageFailed: the state cannot be used. Runs go on with the next worker: begin again as a new one.
        """
        stopped = stopped or threading.Event()
        hands: dict[str, asyncio.Task[None]] = {}
        self._say(f"{await asyncio.to_thread(self._service.shop.workers.register)} is at work")
        with self._service.state.database.wakes.listen(steps=False) as bell:

            def start(name: str, work: Coroutine[Any, Any, None]) -> None:
                hands[name] = asyncio.create_task(work)
                hands[name].add_done_callback(lambda task: bell.ring())

            try:
                while not stopped.is_set():
                    bell.clear()
                    await asyncio.to_thread(self._tickets.due, self._now())
                    due = await asyncio.to_thread(self._service.retention.next_due)
                    if due and due <= self._now() and RETENTION not in hands:
                        start(RETENTION, self._retain())
                    for run_id in await asyncio.to_thread(self._service.shop.runs.unfinished):
                        if run_id not in hands and len(hands) < AT_ONCE and self._may(run_id):
                            start(run_id, self._take(run_id))
                    if until_idle and not hands:
                        return
                    if not hands and (warning := await asyncio.to_thread(self._service.audit.attest)):
                        self._say(f"warning: {warning}")
                    await bell.wait(await asyncio.to_thread(self._until_due))
                    for run_id in [run_id for run_id, task in hands.items() if task.done()]:
                        hands.pop(run_id).result()
            finally:
                self._leaving.set()
                for task in hands.values():
                    task.cancel()
                await asyncio.gather(*hands.values(), return_exceptions=True)

    def _until_due(self) -> float | None:
        """Seconds until a review is due or expires, or retention is due; None when no timer runs."""
        timers = [at for at in (self._tickets.next_due(), self._service.retention.next_due()) if at]
        return seconds_between(self._now(), min(timers)) + 0.001 if timers else None

    def _may(self, run_id: str) -> bool:
        return run_id not in self._refused or self._refused[run_id] != self._round(run_id)

    def _round(self, run_id: str) -> int:
        return self._service.shop.runs.round(run_id)

    async def _retain(self) -> None:
        applying = asyncio.to_thread(self._service.retention.round, self._leaving.is_set)
        if done := await to_its_end(asyncio.ensure_future(applying)):
            files = f"{done.files.count} files" + (f" ({done.problem})" if done.problem else "")
            self._say(f"retention of {done.days} days: {len(done.runs)} runs and calls, {files} removed")

    async def _take(self, run_id: str) -> None:
        try:
            run: Run = (await self._service.join(run_id)).run
            self._say(f"run {run.id}: {run.state.replace('_', ' ')} {run.reason}".rstrip())
        except BottegaError as error:
            if run_id not in self._service.shop.runs.unfinished():
                self._say(f"run {run_id}: failed {error}")
            elif isinstance(error, StorageFailed) and not isinstance(error, NotDelivered):
                raise  # it is the state
            else:  # another host may have the weights, the key, or room in the folder
                self._refused[run_id] = self._round(run_id)
                self._say(f"run {run_id} is left to others: {error}")
