"""llama.cpp in this process: one server object for one GGUF file."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bottega.core.errors import BottegaError, Cancelled, EngineFailed, InvalidPlan
from bottega.core.value import JsonObject
from bottega.engines.base import require

CONTEXT = 8192  # tokens, prompt and answer together
SHORTER = "send fewer or shorter passages"  # the remedy for a prompt that does not fit
SLOTS = 8  # answers that are written at the same time
SLOT = 2048  # tokens of each, prompt and answer together: they are kept for all slots from the start
BATCH = 128  # prompt tokens between two looks at the stop signal: about two seconds with 1.5 billion weights


class LlamaServer:
    """Weights in memory and the slots to answer from. With several, answers are written in batches that anybody may join."""

    def __init__(self, model: Path, threads: int, slots: int = 1) -> None:
        """Load the weights: 0.4 to 5 seconds.

        Raises:
            EngineFailed: when llama.cpp cannot load the file.
        """
        xllamacpp: Any = require("xllamacpp", extra="all")
        settings = xllamacpp.CommonParams()
        settings.model.path = str(model)
        settings.n_ctx = CONTEXT if slots == 1 else SLOT * slots
        settings.n_batch = BATCH
        settings.n_parallel = slots
        if slots > 1:
            settings.kv_unified = False  # what others say takes no room from an answer
        for cpu in (settings.cpuparams, settings.cpuparams_batch):
            cpu.n_threads = threads
            cpu.poll = (
                0  # waiting threads sleep: as fast alone, and far faster when others use the machine too
            )
        settings.warmup = False
        settings.verbosity = -1
        # The library always listens. A socket file in a private folder that is removed at once keeps
        # everybody out, and needs no network.
        with TemporaryDirectory(prefix="bottega-") as folder:
            settings.hostnames = [f"{folder}/llama.sock"]
            try:
                self._server: Any = xllamacpp.Server(settings)
            except RuntimeError as error:
                raise EngineFailed(
                    f"llama.cpp cannot load {model.name}",
                    where=model.parent.name,
                    remedy=f"pull it again: bottega pull {model.parent.name}",
                ) from error

    async def chat(self, body: JsonObject, cancelled: threading.Event) -> AsyncGenerator[JsonObject]:
        """Yield the chunks of one answer, first of the prompt's progress, then one a token.

        Raises:
            Cancelled: within one token, or one batch of the prompt, after ``cancelled`` is set.
            EngineFailed: what llama.cpp refuses, among it a prompt longer than the context.
            InvalidPlan: a schema or grammar that cannot be followed.
        """
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        abandoned = threading.Event()

        def receive(chunk: JsonObject) -> bool:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            return cancelled.is_set() or abandoned.is_set()

        def answer() -> None:
            try:
                self._server.handle_chat_completions(body, receive)
            except ValueError as error:
                raise InvalidPlan(str(error).strip().rpartition(": ")[2], where="json_schema") from error
            finally:
                loop.call_soon_threadsafe(chunks.put_nowait, None)

        work = asyncio.create_task(asyncio.to_thread(answer))
        try:
            while (chunk := await chunks.get()) is not None:
                if "error" in chunk:
                    raise _refusal(chunk["error"])
                yield chunk
            if cancelled.is_set():
                raise Cancelled("stopped on request")
            await work
        finally:
            abandoned.set()
            await asyncio.wait([work])


def _refusal(error: JsonObject) -> BottegaError:
    if error.get("type") == "exceed_context_size_error":
        return EngineFailed(
            f"the prompt has {error['n_prompt_tokens']} tokens, the limit is {error['n_ctx']}",
            remedy=SHORTER,
        )
    message = str(error.get("message", error))
    if "grammar" in message:
        return InvalidPlan(message, where="grammar", remedy="mend the grammar or the schema")
    return EngineFailed(message)
