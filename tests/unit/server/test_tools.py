import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.core.errors import InvalidValue
from bottega.engines.chat import as_called
from bottega.server.tools import in_words, toolbox

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
    words, (found,) = box.found(as_called(name, arguments), {})
    assert words == "" and found.name == name and json.loads(found.arguments) == arguments


def test_words_are_no_call_and_neither_is_half_a_call() -> None:
    box = toolbox([WEATHER], "auto")
    for text in ("It is warm in Rome.", '<tool_call>\n{"name": "weather", "argu'):
        assert box.found(text, {}) == (text, [])


def test_words_of_a_remote_model_that_look_like_a_call_are_words() -> None:
    text = as_called("weather", {"city": "Rome"})
    assert toolbox([WEATHER], "auto").found(text, {"words": len(text)}) == (text, [])


def test_a_conversation_in_words_has_what_was_called_and_what_came_back() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    turns = [
        {"role": "user", "content": "Is it warm?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "31", "tool_call_id": "1"},
        {"role": "user", "content": "In words, please."},
    ]
    system, *told = in_words(turns, toolbox([WEATHER], "auto"))
    assert system["role"] == "system" and "<tools>" in system["content"]
    assert [turn["role"] for turn in told] == ["user", "assistant", "user"]
    assert told[1]["content"] == as_called("weather", {"city": "Rome"})
    assert told[2]["content"] == "<tool_response>\n31\n</tool_response>\nIn words, please."
    assert in_words(turns[:1], toolbox([], None)) == turns[:1]


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
