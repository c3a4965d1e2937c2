"""Text by any server that speaks the OpenAI chat protocol: vLLM, Ollama, llama.cpp, hosted services."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_core import from_json, to_json

from bottega.core.errors import BottegaError, Cancelled, EngineBusy, EngineFailed, InvalidPlan
from bottega.core.request import Delta, Output, Progress, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port
from bottega.engines.chat import (
    BYTES_PER_TOKEN,
    INPUTS,
    OUTPUTS,
    ChatParams,
    Logprobs,
    biased,
    close_schema,
    finished,
    kept,
    logprobs,
    messages,
    most_tokens,
    said_before,
    temperature,
)
from bottega.engines.wire import Answer, Broken, Stopped, Wire

RETRIED = (408, 409, 429, 500, 502, 503, 504)
LONGEST_PAUSE = 60.0  # seconds; a server that asks for more is reported as busy
HEADERS = b"Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nUser-Agent: bottega\r\n"


class OpenAIChatParams(ChatParams, frozen=True):
    """A chat request, where it goes, and what it costs there."""

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
    stream: bool = Field(
        default=True, description="piece by piece; the whole at once is cheaper when nobody reads along"
    )
    price_in: float = Field(default=0.0, ge=0, description="US dollars per million prompt tokens")
    price_out: float = Field(default=0.0, ge=0, description="US dollars per million answer tokens")


class OpenAIChat(Engine):
    """Streams the answer of a remote model; the key comes from the bench and stands in no message."""

    card: ClassVar[Card] = Card(
        id="openai_chat",
        version="1",
        summary="Writes text and JSON with a model behind an OpenAI-compatible server",
        modality="text",
        inputs=INPUTS,
        outputs=OUTPUTS,
        reads_names=False,
        licence="as the served model's",
        locality="remote",
        destination="the host of base_url",
        determinism="none",
        extra="remote",
        source_type=GENERATED,
        not_covered="What the server keeps. A server on this machine counts as remote too.",
    )
    params: ClassVar[type[Params]] = OpenAIChatParams
    writes: ClassVar[bool] = False

    def __init__(self) -> None:
        self._wire = Wire()

    def close(self) -> None:
        """Close the connections that are kept."""
        self._wire.close()

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield one `Delta` a piece, the usage with its cost, then the text. Retries before the first piece."""
        params = bench.params
        if not isinstance(params, OpenAIChatParams):
            params = OpenAIChatParams.model_validate(request.params)
        if not request.model:
            raise InvalidPlan(
                "there is no model name", where="model", remedy="name a model that the server has"
            )
        host = urlsplit(params.base_url).netloc
        said: list[str] = []
        logs: list[Logprobs] = []
        finish_reason = ""
        usage: JsonObject = {}
        attempt = 0
        try:
            while not finish_reason:
                try:
                    async for event in self._events(request, params, bench, host):
                        usage = event.get("usage") or usage
                        choices: list[JsonObject] = event.get("choices", [])
                        choice: JsonObject = choices[0] if choices else {}
                        finish_reason = choice.get("finish_reason") or finish_reason
                        delta: JsonObject = choice.get("delta") or choice.get("message") or {}
                        if piece := delta.get("content"):
                            said.append(piece)
                            logs.append(logprobs(choice))
                            if params.stream:
                                yield Delta(text=piece, logprobs=logs[-1])
                                yield Progress(fraction=min(len(said) / params.max_tokens, 1), note="writing")
                    if not finish_reason:
                        raise EngineFailed(
                            "the stream broke off before its end", where=host, remedy="run it again"
                        )
                except EngineBusy as error:
                    pause = error.retry_after or params.backoff * 2**attempt * random.uniform(0.5, 1)
                    if said or attempt == params.retries or pause > LONGEST_PAUSE:
                        raise
                    attempt += 1
                    yield Progress(
                        fraction=0, note=f"{error.message}; attempt {attempt + 1} in {pause:.1f} s"
                    )
                    await _pause(pause, bench)
        except BottegaError:
            if said:  # what it had cost until then; of what was never answered nothing is known
                size = sum(len(turn["content"].encode()) for turn in messages(request, params, bench))
                yield _usage(round(size / BYTES_PER_TOKEN), len(said), params)
            raise
        read, wrote = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
        yield _usage(read, wrote, params)
        details = {"prompt_tokens": read, "completion_tokens": wrote, "host": host, "attempts": attempt + 1}
        yield finished("".join(said), params, finish_reason, {**details, **kept(logs, params)})

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """One text port: JSON with a schema, else the asked text type."""
        assert isinstance(params, ChatParams)
        return (Port(name="text", media_types=(params.answer_type,)),)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Fifty tokens a second, and the price of the whole answer."""
        assert isinstance(params, OpenAIChatParams)
        read = (input_bytes + len(params.prompt) + len(params.system) + said_before(params)) / BYTES_PER_TOKEN
        cost = (read * params.price_in + params.max_tokens * params.price_out) / 1e6
        most = most_tokens(params, input_bytes)
        highest = (most * params.price_in + params.max_tokens * params.price_out) / 1e6
        return Estimate(
            seconds=2 + params.max_tokens / 50,
            cost=cost,
            units={"token": most + params.max_tokens, "usd": highest},
        )

    async def _events(
        self, request: Request, params: OpenAIChatParams, bench: Bench, host: str
    ) -> AsyncIterator[JsonObject]:
        """The server-sent events of one attempt.

        Raises:
            EngineBusy: a refusal or a fault that may pass.
            EngineFailed: one that will not.
        """
        if not params.stream:
            answer = await self._ask(request, params, bench, host)
            if (event := _event(answer, bench, host)) is not None:
                yield event
            return
        chunks: asyncio.Queue[bytes] = asyncio.Queue()
        asking = asyncio.ensure_future(self._ask(request, params, bench, host, chunks.put_nowait))
        asking.add_done_callback(lambda _: chunks.put_nowait(b""))
        rest = b""
        try:
            while chunk := await chunks.get():
                bench.check_cancelled()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.startswith(b"data:") and (event := _event(line[5:], bench, host)) is not None:
                        yield event
            await asking
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError, EngineFailed, Cancelled):
                await asking

    async def _ask(
        self,
        request: Request,
        params: OpenAIChatParams,
        bench: Bench,
        host: str,
        take: Callable[[bytes], None] | None = None,
    ) -> bytes:
        """Send it; hand over what comes as it comes, or give it whole."""
        key = bench.secret("openai_api_key")
        try:
            answer = await self._wire.post(
                f"{params.base_url.rstrip('/')}/chat/completions",
                _headers(key, host),
                to_json(_body(request, params, bench)),
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
            said = answer.body[:300].decode("utf-8", "replace")
            raise _refusal(answer, _masked(said, key), host)
        return answer.body


def _usage(read: int, wrote: int, params: OpenAIChatParams) -> Usage:
    cost = (read * params.price_in + wrote * params.price_out) / 1e6
    return Usage(input_units=read, output_units=wrote, unit="token", cost=cost)


def _headers(key: str, host: str) -> bytes:
    if not key:
        return HEADERS
    if not key.isascii() or not key.isprintable():
        raise EngineFailed(
            "the key has characters that no header may have",
            where=host,
            remedy="set BOTTEGA_OPENAI_API_KEY anew",
        )
    return b"%bAuthorization: Bearer %b\r\n" % (HEADERS, key.encode())


def _event(data: bytes, bench: Bench, host: str) -> JsonObject | None:
    """What an event of a stream says, or the whole answer; None when it says nothing."""
    data = data.strip()
    if not data or data == b"[DONE]":
        return None
    try:
        event: JsonObject = from_json(data)
    except ValueError:
        raise EngineFailed("the server sent an event that is not JSON", where=host) from None
    if "error" in event:
        said = _masked(str(event["error"]), bench.secret("openai_api_key"))
        raise EngineFailed(f"the server says: {said}", where=host)
    return event


async def _pause(seconds: float, bench: Bench) -> None:
    stopped = await asyncio.to_thread(bench.cancelled.wait, seconds)
    if stopped:
        raise Cancelled("stopped on request")


def _body(request: Request, params: OpenAIChatParams, bench: Bench) -> JsonObject:
    body: JsonObject = {
        **biased(params),
        "model": request.model,
        "messages": messages(request, params, bench),
        "max_tokens": params.max_tokens,
        "temperature": temperature(request, params),
        "top_p": params.top_p,
    }
    if params.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.seed is not None:
        body["seed"] = request.seed
    if params.stop:
        body["stop"] = list(params.stop)
    if params.logprobs:
        body |= {"logprobs": True, "top_logprobs": params.logprobs}
    if params.json_schema is not None:
        schema = {"name": "answer", "strict": True, "schema": close_schema(params.json_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


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


def _masked(said: str, key: str) -> str:
    """A server that repeats the key in its answer does not get it into a record."""
    return said.replace(key, "***") if key else said


def retry_after(header: str, now: datetime | None = None) -> float:
    """Seconds to wait by a Retry-After header, which holds seconds or an HTTP date; 0 when it says nothing."""
    if header.strip().isdigit():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max((until - (now or datetime.now(UTC))).total_seconds(), 0.0)
