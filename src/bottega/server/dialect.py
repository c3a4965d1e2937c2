"""What a request of the chat dialect becomes for an engine, whichever engine answers."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import msgspec

from bottega.core.errors import InvalidValue
from bottega.core.request import Part, Request
from bottega.core.value import JsonObject
from bottega.pipelines.workshop import Workshop
from bottega.server.body import Body, only
from bottega.server.config import Target
from bottega.server.tools import Toolbox, as_called, as_returned

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


def texts(turns: Sequence[Turn], where: str = "messages") -> list[dict[str, str]]:
    """Messages with plain text as content; ``developer`` is ``system``.

    Raises:
        InvalidValue: naming the message.
    """
    if not turns:
        raise InvalidValue("there is no message", where=where, remedy="send at least one")
    said: list[dict[str, str]] = []
    for index, turn in enumerate(turns):
        place = f"{where}[{index}]"
        role = {"developer": "system"}.get(turn.role, turn.role)
        if role == "tool":
            said.append({"role": "user", "content": as_returned(plain(turn.content, f"{place}.content"))})
            continue
        if role not in ("system", "user", "assistant"):
            raise InvalidValue(
                f"the role '{turn.role}' is not known here",
                where=f"{place}.role",
                remedy="system, user or assistant",
            )
        text = plain(turn.content, f"{place}.content")
        for asked in turn.tool_calls or ():
            function = cast(dict[str, Any], asked.get("function") or {})
            text += as_called(str(function.get("name", "")), function.get("arguments"))
        said.append({"role": role, "content": text})
    return said


def plain(content: str | list[dict[str, Any]] | None, where: str) -> str:
    """The text of a message's content.

    Raises:
        InvalidValue: a piece is no text.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    pieces: list[str] = []
    for index, piece in enumerate(content):
        kind, text = piece.get("type"), piece.get("text")
        if kind == "tool_use":
            pieces.append(as_called(str(piece.get("name", "")), piece.get("input") or {}))
            continue
        if kind == "tool_result":
            pieces.append(as_returned(plain(piece.get("content"), f"{where}[{index}].content")))
            continue
        if kind not in ("text", "input_text", "output_text") or not isinstance(text, str):
            raise InvalidValue(
                f"content of type '{kind}' cannot be read by this model", where=f"{where}[{index}].type",
                remedy="send text; pictures and sound have routes of their own",
            )  # fmt: skip
        pieces.append(text)
    return "".join(pieces)


def armed(turns: Sequence[Mapping[str, str]], box: Toolbox) -> list[Mapping[str, str]]:
    """A conversation whose model knows of tools."""
    if not box:
        return [*turns]
    if turns[0]["role"] == "system":
        told = {"role": "system", "content": f"{turns[0]['content']}\n\n{box.system()}"}
        return [told, *turns[1:]]
    return [{"role": "system", "content": box.system()}, *turns]


def parameters(asked: Sampling, schema: JsonObject | None, grammar: str, logprobs: int) -> JsonObject:
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
    if schema is not None:
        params["json_schema"] = schema
    if grammar:
        params["grammar"] = grammar
    if logprobs:
        params["logprobs"] = logprobs
    return params


def shape_of(form: Mapping[str, Any] | None) -> tuple[JsonObject | None, str]:
    """The schema, or the grammar, of a ``response_format``.

    Raises:
        InvalidValue: naming the field.
    """
    kind = (form or {}).get("type", "text")
    if form is None or kind == "text":
        return None, ""
    if kind == "json_object":
        return None, JSON_GRAMMAR
    if kind == "json_schema":
        named = form.get("json_schema")
        holder = cast(Mapping[str, Any], named) if isinstance(named, Mapping) else form
        schema = holder.get("schema")
        if not isinstance(schema, dict):
            raise InvalidValue("there is no schema", where="response_format.json_schema.schema")
        return cast(JsonObject, schema), ""
    raise InvalidValue(
        f"'{kind}' is not known", where="response_format.type", remedy="text, json_object or json_schema"
    )


def request_for(
    shop: Workshop,
    target: Target,
    turns: Sequence[Mapping[str, str]],
    params: JsonObject,
    seed: int | None,
    *,
    stream: bool | None = False,
) -> Request:
    """The engine's request; an engine that holds no conversation gets the last message as its text."""
    known = shop.engine(target.engine).params.model_fields
    if "messages" not in known:
        part = Part(port="text", name="message", text=turns[-1]["content"])
        return Request(
            engine=target.engine, model=target.model, parts=(part,), params=target.params, seed=seed
        )
    if "grammar" not in known and "<tool_call>" in str(params.get("grammar", "")):
        raise InvalidValue(
            "tools are for local models", where="tools", remedy="choose a local model, or json_schema"
        )
    if "grammar" not in known:
        params = {name: value for name, value in params.items() if name != "grammar"}
    if "stream" in known and not stream:
        params = {**params, "stream": False}
    return Request(
        engine=target.engine,
        model=target.model,
        params={**params, "messages": [*turns], **target.params},
        seed=seed,
    )


def _within(value: float | None, least: float, most: float, where: str) -> None:
    if value is not None and not least <= value <= most:
        raise InvalidValue(f"{value} is not between {least} and {most}", where=where)
