"""Responses as OpenAI's newer dialect writes them."""

from time import time
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from bottega.server import dialect
from bottega.server.answer import Answer
from bottega.server.body import Body, only
from bottega.server.chat import usage_of
from bottega.server.tools import NO_TOOLS, Said, Toolbox


class ResponseText(Body, kw_only=True):
    """The form of the answer."""

    within: ClassVar[str] = "text."
    format: dict[str, Any] | None = None
    verbosity: Annotated[Any, only("medium", remedy="say it in the instructions")] = None


class Reasoning(Body, kw_only=True):
    """How much is reasoned before the answer: nothing."""

    within: ClassVar[str] = "reasoning."
    effort: Annotated[Any, only("none", why="no model here reasons apart from its answer")] = None


class ResponseBody(Body, kw_only=True):
    """What is asked. ``background`` answers at once and goes on without the caller."""

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    text: ResponseText | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    metadata: dict[str, Any] | None = None
    user: str | None = None
    parallel_tool_calls: bool | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning: Reasoning | None = None
    truncation: Annotated[
        Any, only("disabled", why="no conversation is shortened", remedy="send the turns that matter")
    ] = None
    include: Annotated[
        Any, only([], ["reasoning.encrypted_content"], remedy="/v1/chat/completions gives logprobs")
    ] = None
    top_logprobs: Annotated[Any, only(0, remedy="/v1/chat/completions gives them")] = None
    conversation: Annotated[Any, only(remedy="use previous_response_id")] = None
    prompt: Annotated[Any, only(why="no templates are kept", remedy="send the text as input")] = None
    context_management: Annotated[Any, only([], remedy="send the turns that matter")] = None
    moderation: Annotated[Any, only(remedy="ask /v1/moderations")] = None
    image: Annotated[Any, only(remedy="ask /v1/images/generations")] = None


def turn_of(body: dict[str, Any]) -> Said:
    """A response as a turn of the conversation that goes on."""
    text = "".join(piece["text"] for item in body["output"] for piece in item.get("content", ()))
    calls = [
        dialect.call_of(item["call_id"], item["name"], item["arguments"])
        for item in body["output"]
        if item["type"] == "function_call"
    ]
    return {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}


def response_body(
    answer: Answer,
    asked: ResponseBody,
    text: str | None,
    status: str,
    error: Any = None,
    box: Toolbox = NO_TOOLS,
) -> dict[str, Any]:
    """A response as it stands; without ``text`` nothing was said yet."""
    usage = usage_of(answer)
    reason = answer.output().details.get("finish_reason") if answer.result else None
    cut = status == "completed" and reason == "length"
    counts = {
        "input_tokens": usage["prompt_tokens"], "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage["completion_tokens"], "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage["total_tokens"],
    }  # fmt: skip
    return {
        "id": f"resp_{answer.id}", "object": "response", "created_at": answer.created,
        "completed_at": int(time()) if status == "completed" else None,
        "status": "incomplete" if cut else status, "error": error,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": asked.instructions, "max_output_tokens": asked.max_output_tokens, "model": asked.model,
        "output": items_of(answer, text, "incomplete" if cut else "completed", box) if text is not None else [],
        "parallel_tool_calls": bool(asked.parallel_tool_calls), "previous_response_id": asked.previous_response_id,
        "reasoning": {"effort": None, "summary": None}, "store": asked.store is not False, "background": bool(asked.background),
        "temperature": 0.0 if asked.temperature is None else asked.temperature,
        "text": {"format": (asked.text and asked.text.format) or {"type": "text"}}, "tool_choice": asked.tool_choice or "auto", "tools": [{"strict": None, "description": None, "parameters": None, **tool} for tool in asked.tools or ()],
        "top_p": 0.95 if asked.top_p is None else asked.top_p, "truncation": "disabled",
        "usage": counts if text is not None else None, "user": asked.user, "metadata": asked.metadata or {},
        "max_tool_calls": None, "top_logprobs": 0, "presence_penalty": asked.presence_penalty or 0.0, "frequency_penalty": asked.frequency_penalty or 0.0,
        "service_tier": "default", "safety_identifier": None, "prompt_cache_key": None,
    }  # fmt: skip


def items_of(answer: Answer, text: str, status: str, box: Toolbox = NO_TOOLS) -> list[dict[str, Any]]:
    """What was said, and the calls of tools."""
    words, wanted = box.found(text, answer.output().details if answer.result else {})
    said = [message_of(answer, words, status)] if words or not wanted else []
    return said + [
        {"id": f"fc_{answer.id}{f'_{number}' if number else ''}", "type": "function_call", "status": status,
         "call_id": each.id, "name": each.name, "arguments": each.arguments}
        for number, each in enumerate(wanted)
    ]  # fmt: skip


def message_of(answer: Answer, text: str, status: str) -> dict[str, Any]:
    """What was said, as an item."""
    content: list[dict[str, Any]] = (
        [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        if status != "in_progress"
        else []
    )
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }
