"""Text by any server that speaks the OpenAI chat protocol: vLLM, Ollama, llama.cpp, hosted services."""

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar, Literal

from pydantic import Field
from pydantic_core import to_json

from bottega.core.errors import BottegaError, EngineBusy, EngineFailed
from bottega.core.request import Output, Progress, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Estimate, Params, Port
from bottega.engines.chat import (
    BYTES_PER_TOKEN,
    INPUTS,
    OUTPUTS,
    ChatParams,
    biased,
    close_schema,
    messages,
    most_tokens,
    said_before,
    temperature,
)
from bottega.engines.openai_api import (
    UpstreamEngine,
    UpstreamParams,
    again,
    document,
    model_of,
    params_of,
    paused,
    upstream_card,
)
from bottega.engines.openai_tools import Heard, ToolParams


class OpenAIChatParams(UpstreamParams, ToolParams, frozen=True):
    """A chat request, where it goes, and what it costs there."""

    stream: bool = Field(
        default=True, description="piece by piece; the whole at once is cheaper when nobody reads along"
    )
    limit_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="what the server calls the limit of an answer"
    )
    sampling: bool = Field(default=True, description="send temperature and top_p; some models refuse them")
    price_in: float = Field(default=0.0, ge=0, description="US dollars per million prompt tokens")
    price_out: float = Field(default=0.0, ge=0, description="US dollars per million answer tokens")


class OpenAIChat(UpstreamEngine):
    """Streams the answer of a remote model. Calls of tools come whole, when they fit."""

    card: ClassVar[Card] = upstream_card(
        id="openai_chat",
        summary="Writes text and JSON, and calls tools, with a model behind an OpenAI-compatible server",
        modality="text",
        inputs=INPUTS,
        outputs=OUTPUTS,
        not_covered="What the server keeps. A server on this machine counts as remote too. Calls of tools and answers in a "
        "`response_format` are held to their schemas, patterns and formats excepted.",
    )
    params: ClassVar[type[Params]] = OpenAIChatParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield one `Delta` a piece, the usage with its cost, then the text. Retries before the first piece.

        Raises:
            AnswerUnfit: a call of a tool, or the answer, does not fit its schema.
        """
        params = params_of(OpenAIChatParams, request, bench)
        body = to_json(_body(request, params, bench))
        heard, attempt = Heard(), 0
        try:
            while not heard.finish_reason:
                try:
                    async for event in self._events(body, params, bench):
                        delta = heard.take(event)
                        if delta is not None and params.stream:
                            yield delta
                            yield Progress(fraction=min(heard.pieces / params.max_tokens, 1), note="writing")
                    if not heard.finish_reason:
                        raise EngineFailed(
                            "the stream broke off before its end", where=params.host, remedy="run it again"
                        )
                except EngineBusy as error:
                    if heard.pieces:
                        raise
                    pause = params.pause(error, attempt)
                    attempt += 1
                    yield again(error, attempt, pause)
                    await paused(pause, bench)
        except BottegaError:
            if heard.pieces:  # what it had cost until then; of what was never answered nothing is known
                size = sum(len((turn["content"] or "").encode()) for turn in messages(request, params, bench))
                yield _usage(round(size / BYTES_PER_TOKEN), heard.pieces, params)
            raise
        read, wrote = (int(heard.usage.get(key) or 0) for key in ("prompt_tokens", "completion_tokens"))
        usage = _usage(read, wrote, params)
        details: JsonObject = {"prompt_tokens": read, "completion_tokens": wrote, "host": params.host}
        try:
            details["attempts"] = attempt + 1
            if heard.calls or params.response_format:  # others go on while it is held to its schema
                made = await asyncio.to_thread(heard.finished, params, details)
            else:
                made = heard.finished(params, details)
        except EngineFailed as error:  # it is paid for; nothing of it is passed on
            error.used = {"usage": usage.document()}
            raise
        yield usage
        yield made

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """One text port: JSON with a schema, else the asked text type."""
        assert isinstance(params, ChatParams)
        return (Port(name="text", media_types=(params.answer_type,)),)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Fifty tokens a second, and the price of the whole answer."""
        assert isinstance(params, OpenAIChatParams)
        input_bytes += params.extra_bytes
        read = (input_bytes + len(params.prompt) + len(params.system) + said_before(params)) / BYTES_PER_TOKEN
        cost = (read * params.price_in + params.max_tokens * params.price_out) / 1e6
        most = most_tokens(params, input_bytes)
        highest = (most * params.price_in + params.max_tokens * params.price_out) / 1e6
        return Estimate(
            seconds=2 + params.max_tokens / 50,
            cost=cost,
            units={"token": most + params.max_tokens, "usd": highest},
        )

    async def _events(self, body: bytes, params: OpenAIChatParams, bench: Bench) -> AsyncIterator[JsonObject]:
        """The server-sent events of one attempt, or the one answer.

        Raises:
            EngineBusy: a refusal or a fault that may pass.
            EngineFailed: one that will not.
        """
        if not params.stream:
            yield document(await self._ask("chat/completions", body, params, bench), params, bench)
            return
        rest = b""
        async for piece in self._pieces("chat/completions", body, params, bench):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                data = line[5:].strip() if line.startswith(b"data:") else b""
                if data and data != b"[DONE]":
                    yield document(data, params, bench)


def _usage(read: int, wrote: int, params: OpenAIChatParams) -> Usage:
    cost = (read * params.price_in + wrote * params.price_out) / 1e6
    return Usage(input_units=read, output_units=wrote, unit="token", cost=cost)


def _body(request: Request, params: OpenAIChatParams, bench: Bench) -> JsonObject:
    body: JsonObject = {
        **biased(params),
        "model": model_of(request),
        "messages": messages(request, params, bench),
        params.limit_field: params.max_tokens,
        **params.fields(),
    }
    if params.sampling:
        body |= {"temperature": temperature(request, params), "top_p": params.top_p}
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
