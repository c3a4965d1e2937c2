"""The ASGI application: find the route, admit the key, answer, count."""

import asyncio
import logging
from contextlib import suppress

from bottega.core.errors import BottegaError, Cancelled, StorageFailed
from bottega.server.batching import Batching
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
        except BottegaError as error:
            dialect = "anthropic" if scope["path"].startswith("/v1/messages") else ""
            return await self._send(call, send, problem(error, dialect), None)
        with self.desk.traces.request(call, route.path) as told:
            answer = await self._answered(route, call)
            told(answer.status)
            await self._send(call, send, answer, route)

    async def _answered(self, route: Route, call: Call) -> Reply | Flow:
        key = None
        try:
            key = await self.desk.access.admit(call, route.grant)
            if route.once and key is not None:
                answer = await self.desk.once.answer(call, key, lambda: route.handle(self.desk, call, key))
            else:
                answer = await route.handle(self.desk, call, key)
        except Cancelled as stop:
            answer = problem(stop)
        except BottegaError as error:
            if error.http_status >= 500:
                log.warning("%s %s: %s", route.method, route.path, error)
            answer = problem(error, route.dialect)
        except Exception as error:
            log.exception("%s %s", route.method, route.path)
            answer = problem(unforeseen(error), route.dialect)
        if key is not None and route.grant == "engines:call":
            with suppress(BottegaError):
                answer.headers = (*answer.headers, *self.desk.limits.headers(key))
        return answer

    async def _send(self, call: Call, send: Send, answer: Reply | Flow, route: Route | None) -> None:
        try:
            await answer.send(call, send)
        except Exception:
            call.cancelled.set()
            log.exception("the answer broke off")
        path = route.path if route else "none"
        self.desk.metrics.count(self.desk.metrics.requests, path, str(answer.status))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.to_thread(self.desk.service.shop.workers.register)
                await self.desk.indexings.resume()
                works = (self._attest(), self._work(), Batching(self.desk).work())
                self._tasks += [asyncio.create_task(work) for work in works]
                self.ready.set()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self.ready.clear()
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, self.desk.indexings.end(), return_exceptions=True)
                await asyncio.to_thread(self.desk.service.audit.attest)
                await asyncio.to_thread(self.desk.traces.close)
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
