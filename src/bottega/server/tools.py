"""Tools: the caller's functions, offered to a model in words and held to their schemas by a grammar.

The form is that of Hermes models (a JSON object between ``<tool_call>`` tags), which Qwen's templates use as well. The
arguments of a whole call always fit the schema, and one that ``max_tokens`` cut is words; whether it makes sense is the model's part.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from bottega.core.errors import InvalidValue

OPEN, CLOSE = "<tool_call>\n", "\n</tool_call>"
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


@dataclass(frozen=True)
class Toolbox:
    """The tools of a request. ``forced`` says that one must be called, ``only`` which."""

    tools: tuple[Tool, ...] = ()
    forced: bool = False
    only: str = ""

    def __bool__(self) -> bool:
        return bool(self.tools)

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
        return f'%llguidance {{}}\n{start}\ncall: "{OPEN[:-1]}\\n" %json {shape} "\\n{CLOSE[1:]}"{text}'

    def found(self, text: str) -> Called | None:
        """The call that an answer is, if it is one; what was begun and cut is words, as it stands."""
        if not self.tools or not text.startswith(OPEN[:-1]):
            return None
        inside = text.removeprefix(OPEN[:-1]).lstrip()
        try:
            said: dict[str, Any] = json.JSONDecoder().raw_decode(inside)[
                0
            ]  # CLOSE may stand in an argument too
            return Called(said["name"], json.dumps(said["arguments"], ensure_ascii=False))
        except (ValueError, KeyError, TypeError):
            return None


NO_TOOLS = Toolbox()


def toolbox(tools: Sequence[Mapping[str, Any]] | None, choice: Any, where: str = "tools") -> Toolbox:
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
        found.append(Tool(str(about["name"]), str(about.get("description") or ""), schema))
    only = ""
    if chosen:
        only = str(chosen.get("name") or _mapping(chosen.get("function")).get("name") or "")
        if only and only not in {tool.name for tool in found}:
            raise InvalidValue(f"there is no tool '{only}'", where="tool_choice")
    return Toolbox(tuple(found), bool(only) or kind in ("required", "any"), only)


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


def as_called(name: str, arguments: Any) -> str:
    """A call that the model made earlier, as it wrote it."""
    given = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return f'{OPEN}{{"name": {json.dumps(name)}, "arguments": {given or "{}"}}}{CLOSE}'


def as_returned(text: str) -> str:
    """What the caller's function gave back."""
    return f"<tool_response>\n{text}\n</tool_response>"
