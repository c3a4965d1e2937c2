"""Tools: the caller's functions. A remote model gets them as they are; a local one in words, held to their schemas by a grammar.

The words are those of Hermes models (a JSON object between ``<tool_call>`` tags), which Qwen's templates use as well. The
arguments of a whole call always fit the schema, and one that ``max_tokens`` cut is words; whether it makes sense is the model's part.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject
from bottega.engines.chat import CALL, CALLED, as_called

Said = dict[str, Any]  # a turn: role, content, and what OpenAI's chat dialect adds for tools
MOST = 64  # tools of one request
# Words that say of an object which fields it may have besides those that it names
OPEN_ENDED = {
    "additionalProperties",
    "patternProperties",
    "unevaluatedProperties",
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
}


@dataclass(frozen=True)
class Called:
    """A function that the model wants called; ``arguments`` is JSON text."""

    name: str
    arguments: str
    id: str = field(default_factory=lambda: f"call_{secrets.token_hex(12)}")


@dataclass(frozen=True)
class Tool:
    """A function of the caller's."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool | None = None

    def sent(self) -> JsonObject:
        """As OpenAI's chat dialect has it."""
        about: JsonObject = {"name": self.name, "parameters": {**self.parameters}}
        if self.description:
            about["description"] = self.description
        if self.strict is not None:
            about["strict"] = self.strict
        return {"type": "function", "function": about}


@dataclass(frozen=True)
class Toolbox:
    """The tools of a request. ``forced`` says that one must be called, ``only`` which, ``parallel`` whether several may be."""

    tools: tuple[Tool, ...] = ()
    forced: bool = False
    only: str = ""
    parallel: bool | None = None

    def __bool__(self) -> bool:
        return bool(self.tools)

    def sent(self) -> JsonObject:
        """As OpenAI's chat dialect has them."""
        if not self.tools:
            return {}
        one = {"type": "function", "function": {"name": self.only}}
        found: JsonObject = {
            "tools": [tool.sent() for tool in self.tools],
            "tool_choice": one if self.only else "required" if self.forced else "auto",
        }
        return found if self.parallel is None else {**found, "parallel_tool_calls": self.parallel}

    def system(self) -> str:
        """What the model is told of them."""
        lines = [
            json.dumps({"name": tool.name, "description": tool.description, "parameters": tool.parameters})
            for tool in self.tools
        ]
        return (
            "You may call one of these functions when it helps to answer:\n<tools>\n"
            + "\n".join(lines)
            + '\n</tools>\nTo call one, write only\n<tool_call>\n{"name": NAME, "arguments": OBJECT}\n</tool_call>\n'
            "Otherwise answer in plain words."
        )

    def grammar(self) -> str:
        """What may be written (Lark, as llguidance reads it)."""
        shapes = [
            {
                "type": "object",
                "properties": {
                    "name": {"const": tool.name},
                    "arguments": {"type": "object", **_closed(tool.parameters)},
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for tool in self.tools
            if self.only in ("", tool.name)
        ]
        shape = json.dumps(shapes[0] if len(shapes) == 1 else {"anyOf": shapes})
        start = "start: call" if self.forced else "start: call | text"
        text = "" if self.forced else "\ntext: /[^<](.|\\n)*/"
        return f'%llguidance {{}}\n{start}\ncall: "{CALL[:-1]}\\n" %json {shape} "\\n{CALLED[1:]}"{text}'

    def may_call(self, text: str) -> bool:
        """Whether an answer that begins so may be a local model's call."""
        return bool(self.tools) and (text.startswith(CALL[:-1]) or CALL.startswith(text))

    def found(self, text: str, details: Mapping[str, Any]) -> tuple[str, list[Called]]:
        """The words of an answer, and the calls in it; what was begun and cut is words, as it stands.

        A remote engine tells them apart in its details, whatever its words look like; of a local one a whole answer is a call.
        """
        if "words" in details:
            calls: Sequence[JsonObject] = details.get("tool_calls", ())
            return text[: details["words"]], [Called(**each) for each in calls]
        if not self.tools or not text.startswith(CALL[:-1]):
            return text, []
        inside = text.removeprefix(CALL[:-1]).lstrip()
        try:
            said: JsonObject = json.JSONDecoder().raw_decode(inside)[0]  # CALLED may stand in an argument too
            return "", [Called(said["name"], json.dumps(said["arguments"], ensure_ascii=False))]
        except (ValueError, KeyError, TypeError):
            return text, []


NO_TOOLS = Toolbox()


def toolbox(
    tools: Sequence[Mapping[str, Any]] | None, choice: Any, parallel: bool | None = None, where: str = "tools"
) -> Toolbox:
    """Tools in the form of any of the dialects, and the choice among them.

    Raises:
        InvalidValue: naming the tool.
    """
    chosen = _mapping(choice)
    kind = str(chosen.get("type", "")) if chosen else str(choice or "auto")
    if not tools or kind == "none":
        return Toolbox()
    if len(tools) > MOST:
        raise InvalidValue(f"{len(tools)} tools, {MOST} are allowed", where=where)
    found: list[Tool] = []
    for index, given in enumerate(tools):
        place = f"{where}[{index}]"
        if given.get("type", "function") not in ("function", "custom"):
            raise InvalidValue(
                f"'{given['type']}' is not known here", where=f"{place}.type", remedy="function"
            )
        about = _mapping(given.get("function", given))
        if not isinstance(about.get("name"), str):
            raise InvalidValue("a tool needs a name", where=f"{place}.name")
        shape = about.get("parameters", about.get("input_schema"))
        if shape is not None and not isinstance(shape, Mapping):
            raise InvalidValue("it is no schema", where=f"{place}.parameters")
        schema = cast(Mapping[str, Any], shape or {"type": "object", "properties": {}})
        strict = about.get("strict")
        found.append(
            Tool(str(about["name"]), str(about.get("description") or ""), schema,
                 strict if isinstance(strict, bool) else None)
        )  # fmt: skip
    only = ""
    if chosen:
        only = str(chosen.get("name") or _mapping(chosen.get("function")).get("name") or "")
        if only and only not in {tool.name for tool in found}:
            raise InvalidValue(f"there is no tool '{only}'", where="tool_choice")
    if chosen.get("disable_parallel_tool_use"):
        parallel = False
    return Toolbox(tuple(found), bool(only) or kind in ("required", "any"), only, parallel)


def in_words(turns: Sequence[Said], box: Toolbox) -> list[dict[str, str]]:
    """A conversation as a local model reads it: with its tools, its calls and what they gave back in words."""
    told: list[dict[str, str]] = []
    before = ""
    for turn in turns:
        role, text = turn["role"], turn["content"]
        for call in turn.get("tool_calls", ()):
            text += as_called(call["function"]["name"], call["function"]["arguments"])
        if role == "tool":
            text = as_returned(text)
        if before == "tool" and role in ("tool", "user"):
            told[-1]["content"] += f"\n{text}"
        else:
            told.append({"role": "user" if role == "tool" else role, "content": text})
        before = role
    if box and told[0]["role"] == "system":
        told[0]["content"] += f"\n\n{box.system()}"
    elif box:
        told.insert(0, {"role": "system", "content": box.system()})
    return told


def _closed(schema: Any) -> Any:
    """A schema whose objects have the fields that they name and no others: a model that may invent fields does.

    An object that says more of itself stays as it is; so do the parts of an ``allOf``, which complete each other.
    """
    if not isinstance(schema, Mapping):
        return schema
    made = {**cast(Mapping[str, Any], schema)}
    if "properties" in made and not made.keys() & OPEN_ENDED:
        made["additionalProperties"] = False
    for key in made.keys() & {"properties", "$defs", "definitions"}:
        made[key] = {name: _closed(part) for name, part in _mapping(made[key]).items()}
    for key in ("anyOf", "oneOf"):
        if isinstance(made.get(key), list):
            made[key] = [_closed(part) for part in made[key]]
    if "items" in made:
        made["items"] = _closed(made["items"])
    return made


def _mapping(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def as_returned(text: str) -> str:
    """What the caller's function gave back."""
    return f"<tool_response>\n{text}\n</tool_response>"
