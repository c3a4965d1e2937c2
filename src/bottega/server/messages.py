"""`/v1/messages`: Anthropic's dialect."""

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from bottega.core.errors import BottegaError
from bottega.core.request import Output
from bottega.server import attachments, dialect
from bottega.server.answer import Answer
from bottega.server.asked import Asked
from bottega.server.body import Body, only
from bottega.server.chat import pieces_of, said, usage_of
from bottega.server.desk import Desk
from bottega.server.message import Call, Flow, Reply, event, events, reply
from bottega.server.problem import body_of
from bottega.server.tools import Called, Toolbox, in_words, toolbox
from bottega.service.keys import ApiKey

STOPS = {"length": "max_tokens", "stop": "end_turn"}


class Thinking(Body, kw_only=True):
    """How much is thought before the answer: nothing."""

    within: ClassVar[str] = "thinking."
    type: Annotated[Any, only("disabled", why="no model here thinks apart from its answer")] = None


class OutputConfig(Body, kw_only=True):
    """The form of the answer."""

    within: ClassVar[str] = "output_config."
    format: dict[str, Any] | None = None
    effort: Annotated[Any, only("high", why="no model here thinks apart from its answer")] = None
    task_budget: Annotated[Any, only(remedy="use max_tokens")] = None


class MessagesBody(Body, kw_only=True):
    """A conversation."""

    model: str
    max_tokens: int
    messages: list[dialect.Turn]
    system: str | list[dict[str, Any]] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=4)] | None = None
    stream: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    output_config: OutputConfig | None = None
    thinking: Thinking | None = None
    top_k: Annotated[Any, only(remedy="leave it out, or use top_p")] = None
    container: Annotated[Any, only(why="no tools run here")] = None
    mcp_servers: Annotated[Any, only([], why="no tools run here")] = None
    context_management: Annotated[Any, only(remedy="send the turns that matter")] = None
    output_format: Annotated[Any, only(remedy="use output_config.format")] = None
    inference_geo: Annotated[Any, only(why="it is made where the operator's machines are")] = None


async def messages(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Answer a conversation."""
    asked = await call.read(MessagesBody)
    box = toolbox(asked.tools, asked.tool_choice)
    named = desk.names.get(asked.model, dialect.CHAT_ENGINES)
    await attachments.read(desk, key, [turn.content for turn in asked.messages], "messages")
    turns = dialect.conversation(asked.messages)
    if system := dialect.plain(asked.system, "system"):
        turns.insert(0, {"role": "system", "content": system})
    shape = dialect.shape_of(
        asked.output_config.format if asked.output_config else None, "output_config.format"
    )
    sampling = dialect.Sampling(
        model=asked.model, max_tokens=asked.max_tokens, temperature=asked.temperature, top_p=asked.top_p,
        stop=asked.stop_sequences,
    )  # fmt: skip
    wish = Asked(turns, dialect.parameters(sampling), box, shape, stream=bool(asked.stream))
    if desk.guards.on_input:
        await desk.guards.let_in(wish.words(), "text/plain")
    asking = partial(wish.request, desk.service.shop)
    if asked.stream:
        answer, outputs = await desk.stream(call, key, named, asking)
        return events(_events(desk, answer, outputs, asked.model, box), *answer.headers)
    answer = await desk.ask(call, key, named, asking)
    body = _message(answer, asked.model)
    words, wanted = box.found(*await said(desk, answer))
    spoken = [{"type": "text", "text": words, "citations": None}] if words or not wanted else []
    body["content"] = [*spoken, *map(_use, wanted)]
    body["stop_reason"] = "tool_use" if wanted else _reason(answer)
    body["usage"] = _usage(answer)
    return reply(body, *answer.headers)


async def count(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """An upper bound of the tokens of a conversation: a token is at least one byte."""
    asked = await call.read(CountBody)
    desk.names.get(asked.model, dialect.CHAT_ENGINES)
    await attachments.read(desk, key, [turn.content for turn in asked.messages], "messages")
    turns = in_words(dialect.conversation(asked.messages), toolbox(asked.tools, asked.tool_choice))
    words = "".join(turn["content"] for turn in turns) + dialect.plain(asked.system, "system")
    return reply({"input_tokens": max(1, len(words.encode()))})


class CountBody(Body, kw_only=True):
    """A conversation to be counted."""

    model: str
    messages: list[dialect.Turn]
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None


def _message(answer: Answer, model: str) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None, "stop_details": None, "container": None, "usage": _usage(answer),
    }  # fmt: skip


def _reason(answer: Answer) -> str:
    return STOPS.get(str(answer.output().details.get("finish_reason")), "end_turn")


def _usage(answer: Answer) -> dict[str, Any]:
    usage = usage_of(answer)
    return {
        "input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"], "cache_creation": None,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "inference_geo": None,
        "output_tokens_details": None, "server_tool_use": None, "service_tier": "standard",
    }  # fmt: skip


def _use(wanted: Called) -> dict[str, Any]:
    return {"type": "tool_use", "id": wanted.id.replace("call_", "toolu_"), "name": wanted.name,
            "input": json.loads(wanted.arguments), "caller": {"type": "direct"}}  # fmt: skip


async def _events(
    desk: Desk, answer: Answer, outputs: AsyncIterator[Output], model: str, box: Toolbox
) -> AsyncIterator[bytes]:
    def told(kind: str, **more: Any) -> bytes:
        return event({"type": kind, **more}, kind)

    yield told("message_start", message=_message(answer, model))
    spoke, wanted = False, list[Called]()
    text_block = told("content_block_start", index=0, content_block={"type": "text", "text": ""})
    if not box:
        yield text_block
    yield told("ping")
    try:
        async for piece in pieces_of(desk, outputs, box):
            if isinstance(piece, Called):
                wanted.append(piece)
                continue
            if box and not spoke:
                yield text_block
            spoke = True
            yield told("content_block_delta", index=0, delta={"type": "text_delta", "text": piece.text})
    except BottegaError as refusal:
        answer.error = refusal
    if answer.error is not None:
        yield told("error", error={"type": "api_error", "message": body_of(answer.error)["message"]})
        return
    if not (spoke or wanted):
        words, wanted = box.found(*await said(desk, answer))
        if spoke := bool(words or not wanted):
            if box:
                yield text_block
            yield told("content_block_delta", index=0, delta={"type": "text_delta", "text": words})
    if spoke:
        yield told("content_block_stop", index=0)
    for index, each in enumerate(wanted, int(spoke)):
        yield told("content_block_start", index=index, content_block={**_use(each), "input": {}})
        arguments = {"type": "input_json_delta", "partial_json": each.arguments}
        yield told("content_block_delta", index=index, delta=arguments)
        yield told("content_block_stop", index=index)
    reason = "tool_use" if wanted else _reason(answer)
    ending = {"stop_reason": reason, "stop_sequence": None, "stop_details": None, "container": None}
    yield told("message_delta", delta=ending, usage=_usage(answer))
    yield told("message_stop")
