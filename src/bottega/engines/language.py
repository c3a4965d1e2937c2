"""Text by a local language model: llama.cpp on GGUF weights, called as a library."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from bottega.core.errors import BottegaError, EngineFailed
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
from bottega.engines.llama import CONTEXT, SHORTER, SLOT, SLOTS, LlamaServer

PROMPT_SPEED = 60.0  # tokens a second, 1.5 billion weights at 4 bits on two cores
ANSWER_SPEED = 13.0  # tokens a second
LOADING = 4.0  # seconds


class LanguageParams(ChatParams, frozen=True):
    """A chat request, or a grammar in place of a schema."""

    grammar: str = Field(
        default="",
        max_length=20_000,
        description="GBNF grammar that the answer follows; not with json_schema",
    )

    @model_validator(mode="after")
    def _one_constraint(self) -> Self:
        if self.grammar and self.json_schema is not None:
            raise ValueError("give json_schema or grammar, not both")
        return self


class Language(Engine):
    """Writes text or JSON, streaming token by token, constrained by a schema or grammar when asked."""

    card: ClassVar[Card] = Card(
        id="language",
        version="2",
        summary="Writes text and JSON with a local language model (llama.cpp)",
        modality="text",
        inputs=INPUTS,
        outputs=OUTPUTS,
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        isolation="process",
        together=SLOTS,
        models=("qwen2.5-coder-1.5b-instruct", "smollm2-135m-instruct"),
        source_type=GENERATED,
        not_covered="It can be wrong and invents numbers: checks compare its text with the sources. "
        "Marking sources as data does not stop every injected instruction.",
    )
    params: ClassVar[type[Params]] = LanguageParams

    def __init__(self) -> None:
        self._servers: dict[tuple[str, int], LlamaServer] = {}
        self._loading = threading.Lock()

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield prompt progress, one `Delta` a token, the usage in tokens, then the text."""
        params = LanguageParams.model_validate(request.params)
        said: list[str] = []
        logs: list[Logprobs] = []
        finish_reason = ""
        usage: JsonObject = {}
        read = 0
        try:
            async for chunk in self._chunks(
                request.model or self.card.models[0], body(request, params, bench), bench
            ):
                usage = chunk.get("usage") or usage
                if progress := chunk.get("prompt_progress"):
                    read = progress["processed"]
                    done = read / max(progress["total"], 1)
                    yield Progress(fraction=done / 2, note=f"reading {progress['total']} tokens")
                for choice in chunk["choices"]:
                    finish_reason = choice["finish_reason"] or finish_reason
                    if piece := choice["delta"].get("content"):
                        said.append(piece)
                        logs.append(logprobs(choice))
                        yield Delta(text=piece, logprobs=logs[-1])
                        yield Progress(
                            fraction=0.5 + 0.5 * min(len(said) / params.max_tokens, 1), note="writing"
                        )
        except BottegaError:  # whoever breaks it off pays for the part that was made
            yield Usage(input_units=read, output_units=len(said), unit="token")
            raise
        counts = {key: int(usage.get(key, 0)) for key in ("prompt_tokens", "completion_tokens")}
        yield Usage(
            input_units=counts["prompt_tokens"], output_units=counts["completion_tokens"], unit="token"
        )
        yield finished("".join(said), params, finish_reason, {**counts, **kept(logs, params)})

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """One text port: JSON with a schema, else the asked text type."""
        assert isinstance(params, ChatParams)
        return (Port(name="text", media_types=(params.answer_type,)),)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Loading, reading the prompt, and two thirds of the tokens that the answer may have."""
        assert isinstance(params, ChatParams)
        read = (input_bytes + len(params.prompt) + len(params.system) + said_before(params)) / BYTES_PER_TOKEN
        return Estimate(
            seconds=LOADING + min(read, CONTEXT) / PROMPT_SPEED + params.max_tokens * 0.66 / ANSWER_SPEED,
            units={"token": min(most_tokens(params, input_bytes) + params.max_tokens, CONTEXT)},
        )

    def close(self) -> None:
        """Free the weights of every model."""
        self._servers.clear()

    async def _chunks(self, model: str, asked: JsonObject, bench: Bench) -> AsyncGenerator[JsonObject]:
        """What llama.cpp says: from a slot among others, where that is allowed and long enough, else made alone."""
        if bench.together:
            shared = await asyncio.to_thread(self._server, model, bench, SLOTS)
            fits = True
            try:
                async with aclosing(shared.chat(asked, bench.cancelled)) as chunks:
                    async for chunk in chunks:
                        progress: JsonObject = chunk.get("prompt_progress") or {}
                        fits = bool(progress.get("total", 0) + asked["max_tokens"] <= SLOT)
                        if not fits:
                            break
                        yield chunk
                if fits:
                    return
            except EngineFailed as failure:
                if failure.remedy != SHORTER:
                    raise
        alone = await asyncio.to_thread(self._server, model, bench, 1)
        async for chunk in alone.chat(asked, bench.cancelled):
            yield chunk

    def _server(self, model: str, bench: Bench, slots: int) -> LlamaServer:
        with self._loading:
            if (model, slots) not in self._servers:
                path = bench.weights(model) / "model.gguf"
                if not path.is_file():
                    raise EngineFailed(f"'{model}' has no model.gguf", remedy="choose a language model")
                self._servers[model, slots] = LlamaServer(path, bench.threads, slots)
            return self._servers[model, slots]


def body(request: Request, params: LanguageParams, bench: Bench) -> JsonObject:
    """The request as llama.cpp takes it. Nothing of an earlier request is reused: same request, same bytes."""
    asked: dict[str, Any] = {
        **biased(params),
        "messages": messages(request, params, bench),
        "max_tokens": params.max_tokens,
        "temperature": temperature(request, params),
        "top_p": params.top_p,
        "seed": request.seed or 0,
        "stop": list(params.stop),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "cache_prompt": False,
    }
    if params.logprobs:
        asked |= {"logprobs": True, "top_logprobs": params.logprobs}
    if params.json_schema is not None:
        # One space after ':' and ',' and no line breaks: a fifth fewer tokens than the model's own layout.
        layout = {"whitespace_flexible": False, "key_separator": ": ", "item_separator": ", "}
        schema = {**close_schema(params.json_schema), "x-guidance": layout}
        asked["grammar"] = f"%llguidance {{}}\nstart: %json {json.dumps(schema)}"
    elif params.grammar:
        asked["grammar"] = params.grammar
    return asked
