import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.core.errors import InvalidValue
from bottega.server.tools import as_called, toolbox

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "of a city", "parameters": SCHEMA},
}


def test_the_three_dialects_say_the_same() -> None:
    flat = {"type": "function", "name": "weather", "description": "of a city", "parameters": SCHEMA}
    block = {"name": "weather", "description": "of a city", "input_schema": SCHEMA}
    boxes = [toolbox([each], "auto") for each in (WEATHER, flat, block)]
    assert boxes[0] == boxes[1] == boxes[2] and '"weather"' in boxes[0].system()
    assert boxes[0].grammar().splitlines()[1] == "start: call | text"


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "any"},
        {"type": "tool", "name": "weather"},
        {"type": "function", "function": {"name": "weather"}},
    ],
)
def test_a_forced_tool_leaves_no_way_to_answer_in_words(choice: object) -> None:
    box = toolbox([WEATHER], choice)
    assert box.forced and "text" not in box.grammar().splitlines()[1]


def test_no_tool_is_no_tool() -> None:
    assert not toolbox([WEATHER], "none") and not toolbox([], "required") and not toolbox(None, None)


@pytest.mark.parametrize(
    ("tools", "choice", "where"),
    [
        ([{"type": "web_search"}], "auto", "tools[0].type"),
        ([{"type": "function"}], "auto", "tools[0].name"),
        ([{"name": "f", "parameters": 3}], "auto", "tools[0].parameters"),
        ([WEATHER], {"type": "function", "name": "other"}, "tool_choice"),
        ([WEATHER] * 65, "auto", "tools"),
    ],
)
def test_a_mistake_is_named(tools: list[dict[str, object]], choice: object, where: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        toolbox(tools, choice)
    assert refusal.value.where == where


@given(st.text(min_size=1), st.dictionaries(st.text(), st.text()))
def test_what_was_called_is_read_back(name: str, arguments: dict[str, str]) -> None:
    box = toolbox([WEATHER], "auto")
    found = box.found(as_called(name, arguments))
    assert found is not None and found.name == name and json.loads(found.arguments) == arguments


def test_words_are_no_call_and_neither_is_half_a_call() -> None:
    box = toolbox([WEATHER], "auto")
    assert box.found("It is warm in Rome.") is None
    assert box.found('<tool_call>\n{"name": "weather", "argu') is None


def test_objects_are_closed_unless_they_say_otherwise() -> None:
    point: Any = {"type": "object", "properties": {"x": {"type": "number"}}}
    open_ended: Any = {"type": "object", "properties": {"x": {}}, "additionalProperties": {"type": "string"}}
    shape: Any = {
        "type": "object",
        "properties": {"one": {"anyOf": [point, True]}, "more": {"type": "array", "items": point}, "any": open_ended},
        "allOf": [point],
    }  # fmt: skip
    grammar = toolbox([{"name": "draw", "parameters": shape}], "required").grammar()
    written = json.loads(grammar.partition("%json ")[2].partition(' "\\n')[0])["properties"]["arguments"]
    closed = {**point, "additionalProperties": False}
    assert written["properties"] == {
        "one": {"anyOf": [closed, True]}, "more": {"type": "array", "items": closed}, "any": open_ended,
    }  # fmt: skip
    assert "additionalProperties" not in written and written["allOf"] == [point]
