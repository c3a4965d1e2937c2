"""Tools and shapes of answers in OpenAI's dialect: what is sent, what comes back, and whether that fits."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast

from pydantic import Field, field_validator, model_validator
from pydantic_core import from_json, to_json

from bottega.core.errors import AnswerUnfit
from bottega.core.request import Delta, Finished
from bottega.core.value import JsonObject
from bottega.engines.chat import CALLED, ChatParams, Logprobs, Message, as_called, finished, kept, logprobs
from bottega.engines.fitting import fault_of, misfit

MOST = 64  # tools of one request, and calls of one answer
ANOTHER = "ask again, or make the schema plainer"


class Turn(Message, frozen=True):
    """One turn of a conversation in which tools are called."""

    role: Literal["system", "user", "assistant", "tool"]  # pyright: ignore[reportIncompatibleVariableOverride]
    tool_calls: tuple[JsonObject, ...] = Field(
        default=(), max_length=MOST, description="of the assistant: each has id, type and function"
    )
    tool_call_id: str = Field(default="", max_length=1000, description="of a tool: which call this answers")

    def sent(self) -> JsonObject:
        """As the chat dialect has it."""
        said = super().sent()
        if self.tool_calls:
            said |= {"content": self.content or None, "tool_calls": [*self.tool_calls]}
        elif self.role == "tool":
            said["tool_call_id"] = self.tool_call_id
        return said


class ToolParams(ChatParams, frozen=True):
    """A chat request with tools, and the shape of its answer as the dialect says it."""

    messages: tuple[Turn, ...] = Field(
        default=(), max_length=400, description="a conversation so far, between system and prompt"
    )
    tools: tuple[JsonObject, ...] = Field(
        default=(), max_length=MOST, description="functions that may be called: type, function with name and parameters"
    )  # fmt: skip
    tool_choice: str | JsonObject = Field(default="auto", description="auto, required, or the one function")
    parallel_tool_calls: bool | None = Field(default=None, description="several calls in one answer")
    response_format: JsonObject | None = Field(
        default=None, description="json_object, or json_schema with a schema that travels as it is"
    )

    @field_validator("tools")
    @classmethod
    def _have_schemas(cls, tools: Sequence[JsonObject]) -> Sequence[JsonObject]:
        for tool in tools:
            function = _mapping(tool.get("function"))
            if not function.get("name"):
                raise ValueError("a tool needs a function with a name")
            if fault := fault_of(_mapping(function.get("parameters"))):
                raise ValueError(f"the parameters of '{function['name']}' are no JSON Schema: {fault}")
        return tools

    @field_validator("response_format")
    @classmethod
    def _is_a_shape(cls, shape: JsonObject | None) -> JsonObject | None:
        if shape and (fault := fault_of(shape_in(shape))):
            raise ValueError(f"the schema of the answer is no JSON Schema: {fault}")
        return shape

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if self.response_format and self.json_schema is not None:
            raise ValueError("give json_schema or response_format, not both")
        return self

    @property
    def answer_type(self) -> str:
        """Media type of the answer, when it calls no tool."""
        return "application/json" if self.response_format else super().answer_type

    @property
    def extra_bytes(self) -> int:
        """Bytes that are sent beside what is said."""
        turns = [turn.tool_calls for turn in self.messages if turn.tool_calls]
        if not (turns or self.tools or self.response_format):
            return 0
        return len(to_json([turns, self.tools, self.response_format]))

    def fields(self) -> JsonObject:
        """What is sent of tools and shape."""
        found: JsonObject = {}
        if self.tools:
            found = {"tools": [*self.tools], "tool_choice": self.tool_choice}
            if self.parallel_tool_calls is not None:
                found["parallel_tool_calls"] = self.parallel_tool_calls
        if self.response_format:
            found["response_format"] = self.response_format
        return found


@dataclass
class Heard:
    """What a server has said so far."""

    words: list[str] = field(default_factory=list[str])
    logs: list[Logprobs] = field(default_factory=list[Logprobs])
    calls: dict[int, JsonObject] = field(default_factory=dict[int, JsonObject])
    pieces: int = 0  # of words and calls, about one a token
    finish_reason: str = ""
    usage: JsonObject = field(default_factory=dict[str, Any])

    def take(self, event: JsonObject) -> Delta | None:
        """One event of a stream, or the whole answer; gives the words that are new."""
        self.usage = event.get("usage") or self.usage
        choices: list[JsonObject] = event.get("choices") or []
        choice: JsonObject = choices[0] if choices else {}
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        delta: JsonObject = choice.get("delta") or choice.get("message") or {}
        for piece in delta.get("tool_calls") or ():
            self._call(piece)
        text = delta.get("content") or delta.get("refusal")
        if not text:
            return None
        self.pieces += 1
        self.words.append(text)
        self.logs.append(logprobs(choice))
        return Delta(text=text, logprobs=self.logs[-1])

    def _call(self, piece: JsonObject) -> None:
        """A piece of a call. Servers that number none send each whole."""
        self.pieces += 1
        at = piece.get("index")
        at = len(self.calls) if at is None else at
        if len(self.calls) >= MOST and at not in self.calls:
            raise AnswerUnfit(f"the model calls more than {MOST} tools", remedy="ask again")
        call = self.calls.setdefault(at, {"id": "", "name": "", "arguments": ""})
        function = _mapping(piece.get("function"))
        call["id"] = call["id"] or piece.get("id") or ""
        call["name"] = call["name"] or function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""

    def finished(self, params: ToolParams, details: JsonObject) -> Finished:
        """The answer as a file: what was said and called, in one text.

        With tools, ``words`` of the details is how many characters of it are said, and ``tool_calls`` has the calls.

        Raises:
            AnswerUnfit: a call is of no tool, or does not fit its schema; or the answer does not fit its own.
            EngineFailed: as `chat.finished`.
        """
        text = "".join(self.words)
        details = {**details, **kept(self.logs, params)}
        try:
            calls = [_fitting(self.calls[at], params) for at in sorted(self.calls)]
            if len(calls) > 1 and params.parallel_tool_calls is False:
                raise AnswerUnfit("the model calls several tools at once, and may not", remedy="ask again")
            if not calls:
                _hold(text, params)
        except AnswerUnfit:
            if self.finish_reason != "length" or params.whole:
                raise
            calls, text = [], text + "".join(self._cut())
        if not calls:
            details |= {"words": len(text)} if params.tools else {}
            return finished(text, params, self.finish_reason, details)
        words = text.strip()
        said = [*([words] if words else []), *(as_called(each["name"], each["arguments"]) for each in calls)]
        details |= {"finish_reason": self.finish_reason, "tool_calls": calls, "words": len(words)}
        return Finished(port="text", media_type="text/plain", data="\n".join(said).encode(), details=details)

    def _cut(self) -> list[str]:
        """Calls as far as they go."""
        said = [as_called(each["name"], each["arguments"]) for each in self.calls.values()]
        return [*said[:-1], *(each.removesuffix(f"}}{CALLED}") for each in said[-1:])]


def shape_in(response_format: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that an answer shall fit."""
    if response_format.get("type") == "json_object":
        return {"type": "object"}
    return _mapping(_mapping(response_format.get("json_schema")).get("schema"))


def _fitting(call: JsonObject, params: ToolParams) -> JsonObject:
    """A call that may be passed on."""
    name, arguments = call["name"], call["arguments"].strip() or "{}"
    only = _mapping(_mapping(params.tool_choice).get("function")).get("name", name)
    offered = (each["function"] for each in params.tools if each["function"]["name"] == name == only)
    tool = next(offered, None)
    if tool is None:
        raise AnswerUnfit(f"the model calls '{name[:80]}', which it may not here", remedy="ask again")
    given = _read(arguments, f"the arguments of '{name}' are")
    shape = {"type": "object", **_mapping(tool.get("parameters"))}
    if wrong := misfit(given, shape):
        raise AnswerUnfit(f"the arguments of '{name}' do not fit its schema: {wrong}", remedy=ANOTHER)
    return {"id": call["id"] or f"call_{secrets.token_hex(12)}", "name": name, "arguments": arguments}


def _hold(text: str, params: ToolParams) -> None:
    """Hold an answer without calls to what was asked."""
    if params.tools and params.tool_choice not in ("auto", "none"):
        raise AnswerUnfit("the model calls no tool, and it had to", remedy="ask again, or let it choose")
    if params.response_format is None:
        return
    wrong = misfit(_read(text, "the answer is"), shape_in(params.response_format))
    if wrong:
        raise AnswerUnfit(f"the answer does not fit its schema: {wrong}", remedy=ANOTHER)


def _read(text: str, what: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        raise AnswerUnfit(f"{what} no JSON: {text[:80]!r}", remedy=ANOTHER) from None


def _mapping(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}
