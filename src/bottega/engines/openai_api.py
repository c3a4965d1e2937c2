"""What the engines behind a server of OpenAI's dialect share: where it is, its key, patience with it, and what its refusals mean."""

import asyncio
import mimetypes
import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_core import from_json

from bottega.core.errors import Cancelled, EngineBusy, EngineFailed, InvalidPlan
from bottega.core.request import Progress, Request
from bottega.core.value import JsonObject
from bottega.engines.base import GENERATED, Bench, Card, Engine, Modality, Params, Port
from bottega.engines.wire import Answer, Broken, Stopped, Wire

RETRIED = (408, 409, 429, 500, 502, 503, 504)
LONGEST_PAUSE = 60.0  # seconds; a server that asks for more is reported as busy
JSON = "application/json"
KEY = "openai_api_key"


class UpstreamParams(Params, frozen=True):
    """Where a request goes, and how long it is tried."""

    base_url: str = Field(
        pattern=r"^https?://[^@\s]+$",
        max_length=400,
        description="up to and with /v1, for example http://localhost:8000/v1",
    )
    retries: int = Field(default=4, ge=0, le=10, description="further attempts after a refusal that may pass")
    backoff: float = Field(
        default=0.5, ge=0, le=10, description="seconds before the first retry; then doubling"
    )
    connect_timeout: float = Field(default=10.0, gt=0, le=120, description="seconds")
    read_timeout: float = Field(default=120.0, gt=0, le=900, description="seconds between two pieces")

    @property
    def host(self) -> str:
        """Host and port, for messages and the record."""
        return urlsplit(self.base_url).netloc

    def pause(self, error: EngineBusy, attempt: int) -> float:
        """Seconds before the next attempt.

        Raises:
            EngineBusy: ``error``; there is none.
        """
        pause = error.retry_after or self.backoff * 2**attempt * random.uniform(0.5, 1)
        if attempt == self.retries or pause > LONGEST_PAUSE:
            raise error
        return pause


P = TypeVar("P", bound=UpstreamParams)


class UpstreamEngine(Engine):
    """An engine elsewhere; the key comes from the bench and stands in no message."""

    writes = False

    def __init__(self) -> None:
        self._wire = Wire()

    def close(self) -> None:
        """Close the connections that are kept."""
        self._wire.close()

    async def _ask(
        self,
        path: str,
        body: bytes,
        params: UpstreamParams,
        bench: Bench,
        *,
        media_type: str = JSON,
        take: Callable[[bytes], None] | None = None,
    ) -> bytes:
        """Send a body once; hand over what comes as it comes, or give it whole.

        Raises:
            EngineBusy: a refusal or a fault that may pass.
            EngineFailed: one that will not.
        """
        bench.check_cancelled()
        host = params.host
        try:
            answer = await self._wire.post(
                f"{params.base_url.rstrip('/')}/{path}",
                _headers(key_for(host, bench), host, media_type),
                body,
                connect=params.connect_timeout,
                read=params.read_timeout,
                stop=bench.cancelled.is_set,
                take=take,
            )
        except Stopped:
            raise Cancelled("stopped on request") from None
        except TimeoutError as error:
            raise EngineBusy(f"no answer in time ({type(error).__name__})", where=host) from None
        except Broken as error:
            raise EngineBusy(f"no connection ({error})", where=host, remedy="check base_url") from None
        if answer.status != 200:
            raise _refusal(answer, masked(answer.body[:300].decode("utf-8", "replace"), host, bench), host)
        return answer.body

    async def _pieces(
        self, path: str, body: bytes, params: UpstreamParams, bench: Bench
    ) -> AsyncIterator[bytes]:
        """As `_ask`, piece by piece; whoever stops listening closes the connection."""
        pieces: asyncio.Queue[bytes] = asyncio.Queue()
        asking = asyncio.ensure_future(self._ask(path, body, params, bench, take=pieces.put_nowait))
        asking.add_done_callback(lambda _: pieces.put_nowait(b""))
        try:
            while piece := await pieces.get():
                bench.check_cancelled()
                yield piece
            await asking
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError, EngineFailed, Cancelled):
                await asking

    async def _insist(
        self, path: str, body: bytes, params: UpstreamParams, bench: Bench, media_type: str = JSON
    ) -> AsyncIterator[Progress | JsonObject]:
        """As `_ask`, again after what may pass: a `Progress` for each further attempt, then the answer's document."""
        for attempt in range(params.retries + 1):
            try:
                answer = await self._ask(path, body, params, bench, media_type=media_type)
            except EngineBusy as error:
                pause = params.pause(error, attempt)
                yield again(error, attempt + 1, pause)
            else:
                yield document(answer, params, bench)
                return
            await paused(pause, bench)


def upstream_card(
    id: str,
    summary: str,
    modality: Modality,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    not_covered: str,
) -> Card:
    """What an engine behind such a server declares."""
    return Card(
        id=id,
        version="1",
        summary=summary,
        modality=modality,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        reads_names=False,
        licence="as the served model's",
        locality="remote",
        destination="the host of base_url",
        determinism="none",
        extra="remote",
        source_type=GENERATED,
        not_covered=not_covered,
    )


def params_of(kind: type[P], request: Request, bench: Bench) -> P:
    """The parameters of a request; those that the bench has were read already."""
    return bench.params if isinstance(bench.params, kind) else kind.model_validate(request.params)


def multipart(fields: Mapping[str, Any], files: Sequence[tuple[str, str, bytes]]) -> tuple[str, bytes]:
    """A form with files (field, file name, bytes): its media type, and its body. A list is a field several times."""
    mark = secrets.token_hex(16)
    lines: list[bytes] = []
    for name, value in fields.items():
        for each in cast(list[Any], value) if isinstance(value, list) else [value]:
            head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{each}\r\n'
            lines.append(head.encode())
    for name, file, data in files:
        about = f'Content-Disposition: form-data; name="{name}"; filename="{file}"'
        kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
        lines += [f"--{mark}\r\n{about}\r\nContent-Type: {kind}\r\n\r\n".encode(), data, b"\r\n"]
    return f"multipart/form-data; boundary={mark}", b"".join([*lines, f"--{mark}--\r\n".encode()])


def model_of(request: Request) -> str:
    """The model's name there.

    Raises:
        InvalidPlan: none is given.
    """
    if not request.model:
        raise InvalidPlan("there is no model name", where="model", remedy="name a model that the server has")
    return request.model


def again(error: EngineBusy, attempt: int, pause: float) -> Progress:
    """What is told before attempt ``attempt`` + 1, in ``pause`` seconds."""
    return Progress(fraction=0, note=f"{error.message}; attempt {attempt + 1} in {pause:.1f} s")


async def paused(seconds: float, bench: Bench) -> None:
    """Wait, unless somebody stops it.

    Raises:
        Cancelled: somebody did.
    """
    if await asyncio.to_thread(bench.cancelled.wait, seconds):
        raise Cancelled("stopped on request")


def document(data: bytes, params: UpstreamParams, bench: Bench) -> JsonObject:
    """What a server says as JSON.

    Raises:
        EngineFailed: it is no JSON object, or an error.
    """
    try:
        said: JsonObject = from_json(data)
    except ValueError:
        raise EngineFailed("the server sent an event that is not JSON", where=params.host) from None
    if said.get("error"):
        raise EngineFailed(
            f"the server says: {masked(str(said['error']), params.host, bench)}", where=params.host
        )
    return said


def key_for(host: str, bench: Bench) -> str:
    """The key that a host gets: its own, or that of all others."""
    return bench.secret(f"{KEY}@{host.lower()}") or bench.secret(KEY)


def masked(said: str, host: str, bench: Bench) -> str:
    """A server that repeats the key in its answer does not get it into a record."""
    key = key_for(host, bench)
    return said.replace(key, "***") if key else said


def _headers(key: str, host: str, media_type: str) -> bytes:
    lines = (
        b"Content-Type: %b\r\nAccept: application/json, text/event-stream\r\nUser-Agent: bottega\r\n"
        % media_type.encode()
    )
    if not key:
        return lines
    if not key.isascii() or not key.isprintable():
        raise EngineFailed(
            "the key has characters that no header may have",
            where=host,
            remedy="set BOTTEGA_OPENAI_API_KEY, or its part of BOTTEGA_OPENAI_API_KEYS, anew",
        )
    return b"%bAuthorization: Bearer %b\r\n" % (lines, key.encode())


def _refusal(answer: Answer, said: str, host: str) -> EngineFailed:
    status = answer.status
    message = f"the server answers {status}: {said}"
    if status in RETRIED:
        return EngineBusy(
            message,
            where=host,
            retry_after=retry_after(answer.headers.get(b"retry-after", b"").decode("latin-1")),
        )
    remedy = "set BOTTEGA_OPENAI_API_KEY" if status in (401, 403) else "check base_url and the model's name"
    return EngineFailed(message, where=host, remedy=remedy)


def retry_after(header: str, now: datetime | None = None) -> float:
    """Seconds to wait by a Retry-After header, which holds seconds or an HTTP date; 0 when it says nothing."""
    if header.strip().isdigit():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max((until - (now or datetime.now(UTC))).total_seconds(), 0.0)
