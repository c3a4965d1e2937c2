"""`/v1/chat/completions` and `/v1/completions`, as OpenAI's clients know them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from bottega.core.errors import BottegaError, InvalidValue
from bottega.core.request import Delta, Finished, Output, Request
from bottega.core.value import JsonObject
from bottega.engines.chat import Logprobs
from bottega.server import attachments, dialect
from bottega.server.answer import Answer
from bottega.server.asked import Asked
from bottega.server.body import only
from bottega.server.chunks import (
    FINGERPRINT,
    ChatChunks,
    CompletionChunks,
    completion_logs,
    logs_of,
    tool_call,
)
from bottega.server.config import Target
from bottega.server.desk import Desk
from bottega.server.message import DONE, Call, Flow, Reply, event, events, reply
from bottega.server.problem import body_of
from bottega.server.tools import NO_TOOLS, Called, Toolbox, toolbox
from bottega.service.keys import ApiKey

GO_ON = "Your answer above was cut off. Go on exactly where it stops; repeat nothing of it and say nothing about it."


class ChatBody(dialect.Sampling, kw_only=True):
    """A chat request."""

    messages: list[dialect.Turn]
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    audio: Annotated[Any, only(remedy="ask /v1/audio/speech to read the answer")] = None
    modalities: Annotated[Any, only(["text"], remedy="ask /v1/audio/speech to read the answer")] = None
    functions: Annotated[Any, only([], remedy="use tools")] = None
    function_call: Annotated[Any, only("none", remedy="use tool_choice")] = None
    moderation: Annotated[Any, only(remedy="ask /v1/moderations")] = None
    reasoning_effort: Annotated[Any, only("none", why="no model here reasons apart from its answer")] = None
    verbosity: Annotated[Any, only("medium", remedy="say it in the prompt")] = None
    web_search_options: Annotated[Any, only(why="nothing here searches the web")] = None


class CompletionBody(dialect.Sampling, kw_only=True):
    """A completion request; the prompt becomes one message of the user's."""

    prompt: str | list[str]
    logprobs: int | None = None
    echo: bool | None = None
    best_of: Annotated[Any, only(1, why="one answer at a time", remedy="ask several times")] = None
    suffix: Annotated[Any, only("", why="no model here fills gaps")] = None


async def chat(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Answer a conversation."""
    asked = await call.read(ChatBody)
    box = toolbox(asked.tools, asked.tool_choice, asked.parallel_tool_calls)
    named = desk.names.get(asked.model, dialect.CHAT_ENGINES)
    await attachments.read(desk, key, [turn.content for turn in asked.messages], "messages")
    turns, shape = dialect.conversation(asked.messages), dialect.shape_of(asked.response_format)
    top = asked.top_logprobs or 0
    if not 0 <= top <= dialect.TOP_LOGPROBS:
        raise InvalidValue(f"{top} is not between 0 and {dialect.TOP_LOGPROBS}", where="top_logprobs")
    if top and not asked.logprobs:
        raise InvalidValue("it goes with logprobs", where="top_logprobs", remedy="set logprobs to true")
    params = dialect.parameters(asked, max(top, 1) if asked.logprobs else 0)
    wish = Asked(turns, params, box, shape, asked.seed, bool(asked.stream))
    if desk.guards.on_input:
        await desk.guards.let_in(wish.words(), "text/plain")
    asking = partial(wish.request, desk.service.shop)

    def go_on(target: Target, said: str) -> Request:
        more = [{"role": "assistant", "content": said}, {"role": "user", "content": GO_ON}]
        return replace(wish, turns=[*turns, *more]).request(desk.service.shop, target)

    if asked.stream:
        answer, outputs = await desk.stream(call, key, named, asking, None if box or shape.sent else go_on)
        usage = bool(asked.stream_options and asked.stream_options.include_usage)
        pieces = _chunks(
            desk, answer, outputs, ChatChunks(answer, asked.model, top if asked.logprobs else -1), usage, box
        )
        return events(pieces, *answer.headers)
    answer = await desk.ask(call, key, named, asking)
    text, details = await said(desk, answer)
    words, wanted = box.found(text, details)
    message: dict[str, Any] = {"role": "assistant", "content": words, "refusal": None, "annotations": []}
    if wanted:
        message |= {"content": words or None, "tool_calls": [tool_call(each) for each in wanted]}
    logs = {
        "content": [logs_of(delta, top) for delta in again(words, details) if delta.logprobs],
        "refusal": None,
    }
    choice: dict[str, Any] = {
        "index": 0,
        "message": message,
        "logprobs": logs if asked.logprobs else None,
        "finish_reason": "tool_calls" if wanted else details.get("finish_reason") or "stop",
    }
    body: dict[str, Any] = {
        "id": f"chatcmpl-{answer.id}",
        "object": "chat.completion",
        "created": answer.created,
        "model": asked.model,
        "choices": [choice],
        "usage": usage_of(answer),
        "system_fingerprint": FINGERPRINT,
        "service_tier": "default",
    }
    return reply(body, *answer.headers)


async def completions(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Go on with a text."""
    asked = await call.read(CompletionBody)
    named = desk.names.get(asked.model, dialect.CHAT_ENGINES)
    prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    if len(prompts) != 1 or not prompts[0]:
        raise InvalidValue("one prompt at a time, and not an empty one", where="prompt")
    top = asked.logprobs
    if top is not None and not 0 <= top <= dialect.TOP_LOGPROBS:
        raise InvalidValue(f"{top} is not between 0 and {dialect.TOP_LOGPROBS}", where="logprobs")
    if top is not None and asked.echo:
        raise InvalidValue(
            "the prompt has no log-probabilities", where="echo", remedy="leave out echo or logprobs"
        )
    before = prompts[0] if asked.echo else ""
    params = dialect.parameters(asked, 0 if top is None else max(top, 1))
    turns = [{"role": "user", "content": prompts[0]}]
    wish = Asked(turns, params, seed=asked.seed, stream=bool(asked.stream))
    if desk.guards.on_input:
        await desk.guards.let_in(prompts[0].encode(), "text/plain")
    asking = partial(wish.request, desk.service.shop)
    if asked.stream:
        answer, outputs = await desk.stream(call, key, named, asking)
        usage = bool(asked.stream_options and asked.stream_options.include_usage)
        shape = CompletionChunks(answer, asked.model, -1 if top is None else top, before)
        pieces = _chunks(desk, answer, outputs, shape, usage)
        return events(pieces, *answer.headers)
    answer = await desk.ask(call, key, named, asking)
    text, details = await said(desk, answer)
    reason = details.get("finish_reason") or "stop"
    logs = completion_logs([each for each in again(text, details) if each.logprobs], top or 0)
    choice = {
        "index": 0,
        "text": before + text,
        "logprobs": logs if top is not None else None,
        "finish_reason": reason,
    }
    body = {
        "id": f"cmpl-{answer.id}",
        "object": "text_completion",
        "created": answer.created,
        "model": asked.model,
        "choices": [choice],
        "usage": usage_of(answer),
    }
    return reply(body, *answer.headers)


def usage_of(answer: Answer) -> dict[str, Any]:
    """What was used, in tokens; what an engine counts in other units is told as it counts."""
    usage = answer.result.usage if answer.result else {}
    read, wrote = int(usage.get("input_units", 0)), int(usage.get("output_units", 0))
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


async def said(desk: Desk, answer: Answer) -> tuple[str, JsonObject]:
    """The text of an answer, passed by the guards, and what the engine tells of it."""
    made = answer.output()
    kept = answer.said
    if kept is not None and kept.data is not None and kept.port == made.port:
        data = kept.data
    else:
        data = desk.service.shop.artifacts.read(made.artifact)
    if desk.guards.on_output:
        await desk.guards.let_out(data, made.artifact.media_type)
    return data.decode().removesuffix("\n"), made.details


async def _chunks(
    desk: Desk,
    answer: Answer,
    outputs: AsyncIterator[Output],
    shape: ChatChunks,
    usage: bool,
    box: Toolbox = NO_TOOLS,
) -> AsyncIterator[bytes]:
    if first := shape.begin():
        yield first
    spoke, wanted = False, list[Called]()
    try:
        async for piece in pieces_of(desk, outputs, box):
            if isinstance(piece, Called):
                wanted.append(piece)
            else:
                spoke = True
                yield shape.text(piece)
    except BottegaError as refusal:
        answer.error = refusal
    if answer.error is not None:  # after the first piece there is no status left to tell it by
        yield event({"error": body_of(answer.error)})
        yield DONE
        return
    if not (
        spoke or wanted
    ):  # an earlier answer under the same idempotency key, or the call of a tool that was cut
        text, details = await said(desk, answer)
        words, wanted = box.found(text, details)
        for delta in again(words, details) if words or not wanted else ():
            yield shape.text(delta)
    for index, each in enumerate(wanted):
        yield shape.called(index, each)
    assert answer.result is not None
    yield shape.end("tool_calls" if wanted else answer.output().details.get("finish_reason") or "stop")
    if answer.continued:
        yield shape.continued(answer.continued)
    if usage:
        yield shape.usage(usage_of(answer))
    yield DONE


async def pieces_of(
    desk: Desk, outputs: AsyncIterator[Output], box: Toolbox
) -> AsyncIterator[Delta | Called]:
    """What is said, piece by piece, and the calls of tools, each whole.

    What begins as a call is held back; of one that was cut, or was none, nothing is given.

    Raises:
        PolicyDenied: as `checked`.
    """
    held, spoke, details = "", False, dict[str, Any]()
    async for piece in checked(desk, outputs):
        if isinstance(piece, Finished):
            details = piece.details
        elif not spoke and box.may_call(held + piece.text):
            held += piece.text
        else:
            if held and not spoke:
                yield Delta(text=held)
            spoke = True
            yield piece
    words, wanted = box.found(held, details)
    if words and wanted:
        yield Delta(text=words)
    for each in wanted:
        yield each


async def checked(desk: Desk, outputs: AsyncIterator[Output]) -> AsyncIterator[Delta | Finished]:
    """The pieces of an answer, and its end.

    With guards, a window of pieces is held back and judged with what went before; calls of tools are judged whole.

    Raises:
        PolicyDenied: a check refuses what was written so far; what was held back stays unsaid.
    """
    if not desk.guards.on_output:
        async for output in outputs:
            if isinstance(output, Delta | Finished):
                yield output
        return
    written, held, size = "", list[Delta](), 0
    ended: Finished | None = None
    async for output in outputs:
        if isinstance(output, Finished):
            ended = output
        if not isinstance(output, Delta):
            continue
        held.append(output)
        size += len(output.text)
        if size < 2 * desk.guards.window:
            continue
        text = "".join(delta.text for delta in held)
        await desk.guards.let_out((written + text).encode(), "text/plain")
        while size > desk.guards.window:  # what follows may complete what is bad in the last ones
            delta = held.pop(0)
            size -= len(delta.text)
            written = (written + delta.text)[-4 * desk.guards.window :]
            yield delta
    text = "".join(delta.text for delta in held)
    await desk.guards.let_out((written + text).encode(), "text/plain")
    if ended is not None and ended.details.get("tool_calls"):
        await desk.guards.let_out(ended.data or b"", ended.media_type)
    for delta in held:
        yield delta
    if ended is not None:
        yield ended


def again(text: str, details: JsonObject) -> list[Delta]:
    """An answer that was made, as it was said: token by token where the log-probabilities were kept, else whole."""
    logs: list[Logprobs] = details.get("logprobs") or []
    return [Delta(text=each[0][0], logprobs=each) for each in logs] or [Delta(text=text)]
