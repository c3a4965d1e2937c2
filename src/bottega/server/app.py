"""The ASGI application: find the route, admit the key, answer, count."""

import asyncio
import logging
from contextlib import suppress

from bottega.core.errors import BottegaError, Cancelled, StorageFailed
from bottega.server.desk import Desk
from bottega.server.message import Call, Flow, Receive, Reply, Scope, Send
from bottega.server.problem import problem, unforeseen
from bottega.server.routes import Route, Routes
from bottega.service.worker import Worker

ATTEST = 5.0  # seconds between two checkpoints of the record, when it has grown
PAUSE = 5.0  # seconds before work begins again when the state could not be used
log = logging.getLogger("bottega.server")


class App:
    """One service behind HTTP."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.routes = Routes(tuple(desk.table))
        self.ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the server."""
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        if scope["type"] != "http":
            return
        call = Call(scope, receive, most_json=self.desk.config.json_bytes)
        route: Route | None = None
        try:
            route = self.routes.find(call)
            key = self.desk.access.admit(call, route.grant)
            answer = await self._answered(route, call, key)
        except Cancelled as stop:
            answer = problem(stop)
        except BottegaError as error:
            answer = problem(error, route.dialect if route else "")
            if error.http_status >= 500:
                log.warning("%s %s: %s", scope["method"], route.path if route else "", error)
        except Exception as error:
            log.exception("%s %s", scope["method"], route.path if route else scope["path"])
            answer = problem(unforeseen(error), route.dialect if route else "")
        try:
            await answer.send(call, send)
        except Exception:
            call.cancelled.set()
            log.exception("the answer broke off")
        path = route.path if route else "none"
        self.desk.metrics.count(self.desk.metrics.requests, path, str(answer.status))

    async def _answered(self, route: Route, call: Call, key: object) -> Reply | Flow:
        return await route.handle(self.desk, call, key)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.to_thread(self.desk.service.shop.workers.register)
                self._tasks += [asyncio.create_task(self._attest()), asyncio.create_task(self._work())]
                self.ready.set()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self.ready.clear()
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                await asyncio.to_thread(self.desk.service.audit.attest)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _work(self) -> None:
        """Work on runs that wait, as `bottega worker` does, beside whoever else works on them."""
        while True:
            try:
                await Worker(self.desk.service, say=log.info).work()
            except StorageFailed as error:
                log.warning("%s", error)
                await asyncio.sleep(PAUSE)

    async def _attest(self) -> None:
        """Sign a checkpoint now and then: calls do not wait for one."""
        size = -1
        while True:
            await asyncio.sleep(ATTEST)
            with suppress(BottegaError):
                grown = self.desk.service.state.journal.size()
                if grown != size:
                    if warning := await asyncio.to_thread(self.desk.service.audit.attest):
                        log.warning("%s", warning)
                    size = self.desk.service.state.journal.size()
