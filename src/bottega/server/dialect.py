"""What the chat dialects say, read into one form: turns, sampling, the shape of the answer."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple, cast

import msgspec

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject
from bottega.server.body import Body, only
from bottega.server.tools import Said

JSON_GRAMMAR = '%llguidance {}\nstart: %json {"type": "object"}'
CHAT_ENGINES = ("language", "openai_chat", "echo")
MOST_TOKENS = 1024  # of an answer, when the caller names no limit
TOP_LOGPROBS = 10


class Turn(msgspec.Struct):
    """One message. Content is text, or pieces of text; pictures are refused by name."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class StreamOptions(msgspec.Struct):
    """What a stream tells besides."""

    include_usage: bool = False


class Sampling(Body, kw_only=True):
    """What the chat and the completion dialects share."""

    model: str
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    n: Annotated[Any, only(1, why="one answer at a time", remedy="ask several times")] = None
    # Of vLLM's dialect
    top_k: Annotated[Any, only(-1, 0, remedy="leave it out, or use top_p")] = None
    min_p: Annotated[Any, only(0, remedy="leave it out, or use top_p")] = None
    repetition_penalty: Annotated[Any, only(1, remedy="use frequency_penalty")] = None


def conversation(turns: Sequence[Turn], where: str = "messages") -> list[Said]:
    """Messages with plain text as content, calls of tools and what they gave back beside it; ``developer`` is ``system``.

    Raises:
        InvalidValue: naming the message.
    """
    if not turns:
        raise InvalidValue("there is no message", where=where, remedy="send at least one")
    said: list[Said] = []
    for index, turn in enumerate(turns):
        place = f"{where}[{index}]"
        role = {"developer": "system"}.get(turn.role, turn.role)
        if role not in ("system", "user", "assistant", "tool"):
            raise InvalidValue(
                f"the role '{turn.role}' is not known here",
                where=f"{place}.role",
                remedy="system, user, assistant or tool",
            )
        text, calls, results = _pieces(turn.content, f"{place}.content")
        for asked in turn.tool_calls or ():
            function = cast(dict[str, Any], asked.get("function") or {})
            calls.append(call_of(asked.get("id"), function.get("name"), function.get("arguments")))
        said += results
        if role == "tool":
            said.append({"role": role, "content": text, "tool_call_id": turn.tool_call_id or ""})
        elif text or calls or not results:
            more = {"tool_calls": calls} if calls else {}
            said.append({"role": role, "content": text, **more})
    return said


def plain(content: str | list[dict[str, Any]] | None, where: str) -> str:
    """The text of a message's content.

    Raises:
        InvalidValue: a piece is no text.
    """
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(_text(piece, f"{where}[{index}]") for index, piece in enumerate(content))


def _pieces(
    content: str | list[dict[str, Any]] | None, where: str
) -> tuple[str, list[JsonObject], list[Said]]:
    """Text, calls and results in a content; Anthropic's dialect has all three there."""
    if content is None or isinstance(content, str):
        return content or "", [], []
    text, calls, results = "", list[JsonObject](), list[Said]()
    for index, piece in enumerate(content):
        place = f"{where}[{index}]"
        match piece.get("type"):
            case "tool_use":
                calls.append(call_of(piece.get("id"), piece.get("name"), piece.get("input") or {}))
            case "tool_result":
                given = plain(piece.get("content"), f"{place}.content")
                results.append(
                    {"role": "tool", "content": given, "tool_call_id": str(piece.get("tool_use_id") or "")}
                )
            case _:
                text += _text(piece, place)
    return text, calls, results


def _text(piece: Mapping[str, Any], where: str) -> str:
    kind, text = piece.get("type"), piece.get("text")
    if kind not in ("text", "input_text", "output_text") or not isinstance(text, str):
        raise InvalidValue(
            f"content of type '{kind}' cannot be read by this model", where=f"{where}.type",
            remedy="send text; pictures and sound have routes of their own",
        )  # fmt: skip
    return text


def call_of(call: Any, name: Any, arguments: Any) -> JsonObject:
    """A call that the model made earlier, as OpenAI's chat dialect has it."""
    given = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return {
        "id": str(call or ""),
        "type": "function",
        "function": {"name": str(name or ""), "arguments": given},
    }


def parameters(asked: Sampling, logprobs: int = 0) -> JsonObject:
    """Sampling as the chat engines know it.

    Raises:
        InvalidValue: naming the field.
    """
    _within(asked.temperature, 0, 2, "temperature")
    _within(asked.top_p, 0, 1, "top_p")
    field = "max_completion_tokens" if asked.max_completion_tokens is not None else "max_tokens"
    most = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    if most is not None and most < 1:
        raise InvalidValue("it must be at least 1", where=field)
    stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
    if len(stop) > 4:
        raise InvalidValue("at most four texts end an answer", where="stop")
    params: JsonObject = {
        "system": "",
        "max_tokens": min(most or MOST_TOKENS, 8000),
        "temperature": 0.0 if asked.temperature is None else asked.temperature,
        "media_type": "text/plain",
        "whole": False,  # the caller is told by the finish_reason
    }
    if asked.top_p:
        params["top_p"] = asked.top_p
    for name in ("frequency_penalty", "presence_penalty"):
        if penalty := getattr(asked, name):
            _within(penalty, -2, 2, name)
            params[name] = penalty
    if asked.logit_bias:
        if wrong := next((token for token in asked.logit_bias if not token.isdecimal()), None):
            raise InvalidValue(
                f"'{wrong[:20]}' is no token",
                where="logit_bias",
                remedy="numbers, as /v1/tokenize gives them",
            )
        for bias in asked.logit_bias.values():
            _within(bias, -100, 100, "logit_bias")
        params["logit_bias"] = asked.logit_bias
    if stop:
        params["stop"] = [*stop]
    if logprobs:
        params["logprobs"] = logprobs
    return params


class Shape(NamedTuple):
    """The shape that an answer shall have: a schema or a grammar for a local model, and as OpenAI's chat dialect says it."""

    schema: JsonObject | None = None
    grammar: str = ""
    sent: JsonObject | None = None


NO_SHAPE = Shape()


def shape_of(form: Mapping[str, Any] | None, where: str = "response_format") -> Shape:
    """The shape in a ``response_format``, in the form of any of the dialects.

    Raises:
        InvalidValue: naming the field.
    """
    kind = (form or {}).get("type", "text")
    if form is None or kind == "text":
        return NO_SHAPE
    if kind == "json_object":
        return Shape(grammar=JSON_GRAMMAR, sent={"type": kind})
    if kind == "json_schema":
        named = form.get("json_schema")
        holder = cast(Mapping[str, Any], named) if isinstance(named, Mapping) else form
        given = holder.get("schema")
        if not isinstance(given, dict):
            raise InvalidValue("there is no schema", where=f"{where}.json_schema.schema")
        schema = cast(JsonObject, given)
        about = {key: holder[key] for key in ("description", "strict") if holder.get(key) is not None}
        sent = {"name": holder.get("name") or "answer", **about, "schema": schema}
        return Shape(schema, sent={"type": kind, kind: sent})
    raise InvalidValue(
        f"'{kind}' is not known", where=f"{where}.type", remedy="text, json_object or json_schema"
    )


def _within(value: float | None, least: float, most: float, where: str) -> None:
    if value is not None and not least <= value <= most:
        raise InvalidValue(f"{value} is not between {least} and {most}", where=where)
