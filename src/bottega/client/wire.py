"""Requests to a server: what is sent again, which error an answer is, and events that are taken up where they broke off."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from bottega.core import errors
from bottega.core.errors import BottegaError, TransferFailed
from bottega.engines.base import require

ATTEMPTS = 4  # of a request that changes nothing, or is told apart by its idempotency key
LATER = (429, 503)  # statuses that name a time to come back
LONGEST = 60.0  # seconds that a server may ask to wait


class Wire:
    """One server, one key, kept connections."""

    def __init__(self, url: str, key: str, timeout: float, transport: Any = None) -> None:
        self._httpx: Any = require("httpx", extra="client")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http: Any = self._httpx.AsyncClient(
            base_url=url.rstrip("/").removesuffix("/v1"), headers=headers, transport=transport, trust_env=False,
            timeout=self._httpx.Timeout(timeout, connect=10.0), follow_redirects=False,
        )  # fmt: skip

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def ask(self, method: str, path: str, *, key: str = "", **what: Any) -> Any:
        """One request, sent again when the connection breaks or the server asks to come back.

        A POST is sent under an idempotency key, ``key`` or a new one, so that nothing is made twice.

        Raises:
            BottegaError: the server's refusal as it would be raised on this machine.
            TransferFailed: the server was not reached.
        """
        headers = {"idempotency-key": key or uuid.uuid4().hex} if method == "POST" else {}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self._http.request(method, path, headers=headers, **what)
            except self._httpx.TransportError as error:
                if attempt == ATTEMPTS:
                    raise unreached(error) from error
                await asyncio.sleep(_pause(attempt, ""))
                continue
            wait = answer.headers.get("retry-after", "")
            if answer.status_code in LATER and wait and attempt < ATTEMPTS:
                await asyncio.sleep(_pause(attempt, wait))
                continue
            if answer.status_code >= 400:
                raise refusal(answer.status_code, answer.headers, answer.content)
            return answer
        raise AssertionError("unreachable")

    async def events(self, path: str, after: int) -> AsyncIterator[Mapping[str, Any]]:
        """Numbered events from the one behind ``after`` on; a broken connection is taken up by ``Last-Event-ID``.

        Raises:
            BottegaError, TransferFailed: as `ask`.
        """
        failed = 0
        while True:
            headers = {"last-event-id": str(after)} if after >= 0 else {}
            try:
                async with self._http.stream("GET", path, headers=headers) as answer:
                    if answer.status_code >= 400:
                        raise refusal(answer.status_code, answer.headers, await answer.aread())
                    async for number, data in _events(answer.aiter_lines()):
                        failed = 0
                        if number is None:
                            return  # the state in which it rests
                        after = number
                        yield json.loads(data)
            except self._httpx.TransportError as error:
                failed += 1
                if failed == ATTEMPTS:
                    raise unreached(error) from error
                await asyncio.sleep(_pause(failed, ""))


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[int | None, str]]:
    """Server-sent events as (id, data), as the HTML standard reads them (section 9.2)."""
    number, data = None, list[str]()
    async for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield number, "\n".join(data)
            number, data = None, []
        elif name == "id":
            number = int(value)
        elif name == "data":
            data.append(value)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> BottegaError:
    """The error that an answer tells of, of the class that it has on the server."""
    try:
        told = json.loads(body)["error"]
        message, where = str(told["message"]), str(told.get("param") or "")
    except (ValueError, KeyError, TypeError):
        message, where = f"the server answered {status}", ""
    kind = getattr(errors, headers.get("x-bottega-error", ""), None)
    if not (isinstance(kind, type) and issubclass(kind, BottegaError)):
        kind = next((each for each in _kinds(BottegaError) if each.http_status == status), BottegaError)
    return kind(message, where=where)


def unreached(error: Exception) -> TransferFailed:
    """What is told when no answer came."""
    return TransferFailed(
        f"the server was not reached: {type(error).__name__} {error}".rstrip(), where="url",
        remedy="check the address, and that `bottega serve` runs there",
    )  # fmt: skip


def _kinds(kind: type[BottegaError]) -> list[type[BottegaError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _kinds(child))]


def _pause(attempt: int, wait: str) -> float:
    """Seconds before the next attempt: what the server says, else doubling with jitter."""
    if wait.isdecimal():
        return min(float(wait), LONGEST)
    return 0.2 * 2**attempt * random.uniform(0.5, 1.5)
