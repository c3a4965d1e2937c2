"""Works on batches: every line is a call to its route, under an idempotency key of its own, so none is paid for twice."""

import asyncio
import base64
import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, cast

from bottega.core.errors import BottegaError, Cancelled, EngineBusy, NotFound, RateLimited, Unauthenticated
from bottega.server.access import granted
from bottega.server.desk import Desk
from bottega.server.message import Call, Flow, Reply, encode
from bottega.server.oidc import person_of
from bottega.server.problem import problem, unforeseen
from bottega.service.batches import ERRORS, OUTPUT, Batch, Lines, Status
from bottega.service.files import new_id
from bottega.service.keys import ApiKey

AT_ONCE = 4  # lines of one batch: others come between them in the queues of the engines
MOST_LINES = 50_000
LOOK = 60.0  # seconds between two looks at what others have left
SAVED = 1.0  # seconds between two counts that are written down
log = logging.getLogger("bottega.server")


@dataclass
class Batching:
    """Takes up every batch of this host that has not ended, also those that a killed process left."""

    desk: Desk
    _hands: dict[str, "asyncio.Task[None]"] = field(default_factory=dict[str, "asyncio.Task[None]"])
    _stops: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    async def work(self) -> None:
        """Until it is cancelled."""
        bell, store = self.desk.batch_bell, self.desk.service.batches
        try:
            while True:
                bell.clear()
                for batch in await asyncio.to_thread(store.unfinished):
                    if batch.id not in self._hands:
                        self._stops[batch.id] = asyncio.Event()
                        task = self._hands[batch.id] = asyncio.create_task(self._batch(batch))
                        task.add_done_callback(lambda _, name=batch.id: self._hands.pop(name, None))
                    if store.cancelling(batch):
                        self._stops[batch.id].set()
                with suppress(TimeoutError):  # another process of this host may have died at its work
                    await asyncio.wait_for(bell.wait(), LOOK)
        finally:
            tasks = [*self._hands.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _batch(self, batch: Batch) -> None:
        store = self.desk.service.batches
        try:
            with store.held(batch) as ours:
                if ours:
                    batch = await asyncio.to_thread(store.get, batch.owner, batch.id)
                    await _Work(self.desk, batch, self._stops[batch.id]).run()
        except BottegaError as error:  # the disk is full: the next start goes on
            log.warning("batch %s rests: %s", batch.id, error)
        except Exception:
            log.exception("batch %s rests", batch.id)


class _Work:
    """One batch in hand."""

    def __init__(self, desk: Desk, batch: Batch, stop: asyncio.Event) -> None:
        self._desk, self._batch, self._stop = desk, batch, stop
        self._store = desk.service.batches
        self._route = next(route for route in desk.table if route.path == batch.endpoint and route.in_batch)
        self._saved = 0.0

    async def run(self) -> None:
        try:
            lines = await asyncio.to_thread(self._lines)
        except (BottegaError, _Unusable) as error:
            faults = error.faults if isinstance(error, _Unusable) else [fault(0, str(error))]
            self._batch = self._store.save(self._batch, "failed", faults=faults)
            return
        if self._batch.status == "validating":
            self._batch = self._store.save(self._batch, "in_progress", total=len(lines))
        done = set[str]()
        counts = {"completed": 0, "failed": 0}

        def seen(name: str) -> Any:
            def count(line: dict[str, Any]) -> None:
                done.add(line["custom_id"])
                counts[name] += 1

            return count

        place = self._store.place(self._batch)
        outputs = await asyncio.to_thread(Lines, place / OUTPUT, seen("completed"))
        errors = await asyncio.to_thread(Lines, place / ERRORS, seen("failed"))
        try:
            if self._batch.status == "in_progress":
                status = await self._all(lines, done, counts, outputs, errors)
                ids = {
                    "output_file": new_id() if counts["completed"] else "",
                    "error_file": new_id() if counts["failed"] else "",
                }
                self._batch = self._store.save(self._batch, "finalizing", **ids, **counts)
            else:
                status = self._ending()
        finally:
            outputs.close()
            errors.close()
        await asyncio.to_thread(self._hand_over)
        self._store.save(self._batch, status)

    def _ending(self) -> Status:
        if self._store.cancelling(self._batch):
            return "cancelled"
        return "completed" if self._batch.completed + self._batch.failed >= self._batch.total else "expired"

    async def _all(
        self,
        lines: list[dict[str, Any]],
        done: set[str],
        counts: dict[str, int],
        outputs: Lines,
        errors: Lines,
    ) -> Status:
        turns = asyncio.Semaphore(AT_ONCE)
        left = (datetime.fromisoformat(self._batch.expires_at) - datetime.now(UTC)).total_seconds()
        clock = asyncio.get_running_loop().call_later(max(left, 0), self._stop.set)

        async def make(number: int, line: dict[str, Any]) -> None:
            try:
                answer = await self._call(number, line)
            except Cancelled:
                return
            finally:
                turns.release()
            good = answer.status < 300
            (outputs if good else errors).add(encode(_said(self._batch, number, line, answer)))
            counts["completed" if good else "failed"] += 1
            if monotonic() - self._saved > SAVED:
                self._saved = monotonic()
                self._batch = await asyncio.to_thread(self._store.save, self._batch, **counts)

        tasks = set[asyncio.Task[None]]()
        try:
            for number, line in enumerate(lines):
                if line["custom_id"] in done:
                    continue
                await turns.acquire()
                if self._stop.is_set():
                    turns.release()
                    break
                task = asyncio.create_task(make(number, line))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        finally:
            clock.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if counts["completed"] + counts["failed"] == len(lines):
            return "completed"
        cancelled = self._store.cancelling(self._batch)
        code = "batch_cancelled" if cancelled else "batch_expired"
        told = {"code": code, "message": "this call was not made before the batch ended"}
        made = done | {json.loads(line)["custom_id"] for name in (OUTPUT, ERRORS)
                       for line in (self._store.place(self._batch) / name).read_bytes().splitlines()}  # fmt: skip
        for number, line in enumerate(lines):
            if line["custom_id"] not in made:
                name = f"{self._batch.id}_{number}"
                errors.add(
                    encode({"id": name, "custom_id": line["custom_id"], "response": None, "error": told})
                )
                counts["failed"] += 1
        return "cancelled" if cancelled else "expired"

    async def _call(self, number: int, line: dict[str, Any]) -> Reply:
        """The answer of the line's route, or the refusal; waits where it is asked to come back."""
        body = encode(line["body"])
        while True:
            if self._stop.is_set():
                raise Cancelled("the batch ends")
            call = _call(self._batch, number, body, self._stop)
            try:
                key = await asyncio.to_thread(self._key)
                answer = await self._route.handle(self._desk, call, key)
                if isinstance(answer, Flow):
                    call.cancelled.set()
                    raise NotFound(
                        "a line of a batch gives no stream", where="body.stream", remedy="leave it out"
                    )
                return answer
            except (RateLimited, EngineBusy) as busy:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), max(busy.retry_after, 0.2))
            except Cancelled:
                if self._stop.is_set():
                    raise
                return problem(Cancelled("the call was stopped"))
            except BottegaError as error:
                return problem(error)
            except Exception as error:
                log.exception("batch %s, line %d", self._batch.id, number + 1)
                return problem(unforeseen(error))

    def _key(self) -> ApiKey:
        """The key under which the batch was given, as it is now; of a person, what was granted then.

        Raises:
            Unauthenticated, PolicyDenied: it may not be used any more, or its project is closed.
        """
        assert self._route.grant is not None
        keys = self._desk.access.keys
        if self._batch.person:
            key = person_of(self._batch.person, self._desk.service.projects())
            granted(key, self._route.grant)
            return key
        key = keys.get(self._batch.key)
        if (state := key.state(keys.now())) != "active":
            raise Unauthenticated(
                f"the key that this batch was given under is {state}", where="authorization"
            )
        granted(key, self._route.grant)
        return key

    def _lines(self) -> list[dict[str, Any]]:
        """The lines of the input file.

        Raises:
            NotFound: it is gone.
            _Unusable: they are not what they have to be; says which and why.
        """
        stored = self._desk.service.files.get(self._batch.owner, self._batch.input_file)
        found: list[dict[str, Any]] = []
        faults: list[dict[str, Any]] = []
        names = set[str]()
        with stored.path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.strip():
                    continue
                if len(found) >= MOST_LINES:
                    faults.append(fault(number, f"more than {MOST_LINES} lines"))
                    break
                why, line = _line(text, self._batch.endpoint, names)
                if why:
                    faults.append(fault(number, why))
                found.append(line)
        if not found:
            faults.append(fault(0, "the file has no lines"))
        if faults:
            raise _Unusable(faults[:100])
        return found

    def _hand_over(self) -> None:
        """Make files of the owner's out of what was written; done again after a kill, it does nothing twice."""
        files, place = self._desk.service.files, self._store.place(self._batch)
        for file_id, name in ((self._batch.output_file, OUTPUT), (self._batch.error_file, ERRORS)):
            if file_id and (place / name).exists():
                files.take(
                    self._batch.owner, place / name, f"{self._batch.id}_{name}", "batch_output", file_id
                )


class _Unusable(Exception):
    def __init__(self, faults: list[dict[str, Any]]) -> None:
        super().__init__("the file cannot be worked on")
        self.faults = faults


def fault(line: int, message: str) -> dict[str, Any]:
    """Why a line cannot be worked on; lines count from 1, 0 is the file."""
    return {"code": "invalid_line", "line": line or None, "message": message, "param": None}


def _line(text: bytes, endpoint: str, names: set[str]) -> tuple[str, dict[str, Any]]:
    try:
        line: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "it is not JSON", {}
    if not isinstance(line, dict):
        return "it is no object", {}
    given = cast(dict[str, Any], line)
    name = given.get("custom_id")
    if not isinstance(name, str) or not 0 < len(name) <= 256:
        return "custom_id: a text of 1 to 256 characters is needed", {}
    if name in names:
        return f"custom_id: '{name}' stands there twice", {}
    names.add(name)
    if given.get("method", "POST") != "POST" or given.get("url") != endpoint:
        return f"method and url: POST and {endpoint} are needed", {}
    if not isinstance(given.get("body"), dict):
        return "body: an object is needed", {}
    return "", given


def _call(batch: Batch, number: int, body: bytes, stop: asyncio.Event) -> Call:
    """A request as the line's route would see it; its client goes away when the batch is stopped."""
    headers = [
        (b"idempotency-key", f"{batch.id}:{number}".encode()),
        (b"content-type", b"application/json"),
        (b"priority", b"u=7"),  # after everybody who waits for an answer
    ]
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await stop.wait()
        return {"type": "http.disconnect"}

    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": batch.endpoint, "query_string": b"", "headers": headers,
    }  # fmt: skip
    return Call(scope, receive)


def _said(batch: Batch, number: int, line: dict[str, Any], answer: Reply) -> dict[str, Any]:
    heads = dict(answer.headers)
    kind = heads.get(b"content-type", b"").decode()
    body: Any = {"media_type": kind, "b64": base64.b64encode(answer.body).decode()}
    if kind == "application/json":
        body = json.loads(answer.body)
    response = {
        "status_code": answer.status,
        "request_id": heads.get(b"x-bottega-run-id", b"").decode(),
        "body": body,
    }
    return {"id": f"{batch.id}_{number}", "custom_id": line["custom_id"], "response": response, "error": None}
