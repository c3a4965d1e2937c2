"""What fits a schema, what does not, and what a schema may not do to this process."""

from typing import Any

import pytest

from bottega.engines.fitting import fault_of, misfit

CITY = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}


@pytest.mark.parametrize(
    ("value", "schema", "told"),
    [
        ({"city": "Rome"}, CITY, ""),
        ({"city": "Oslo"}, CITY, "$.city: 'Oslo' is not one of"),
        ({}, CITY, "$: 'city' is a required property"),
        ({"a": 1}, {"additionalProperties": False, "properties": {"pattern": {"type": "string"}}}, "$: Additional"),
        ({"pattern": 1}, {"properties": {"pattern": {"type": "string"}}}, "$.pattern: 1 is not of type 'string'"),
        ({"x-a": 1}, {"patternProperties": {"^x-": {}}, "additionalProperties": False}, ""),
        ([{"pattern": "b"}], {"items": {"const": {"pattern": "a"}}}, "$[0]:"),
        ([1, "a"], {"prefixItems": [{"type": "integer"}, {"not": {"type": "string"}}]}, "$[1]: 'a' should not be valid"),
        ({"a": 1}, {"dependentRequired": {"a": ["b"]}, "x-note": {"type": 5}}, "$: 'b' is a dependency of 'a'"),
        ({"n": {"n": 3}}, {"properties": {"n": {"$ref": "#"}}, "type": ["object"]}, "$.n.n: 3 is not of type"),
        (1, {"$ref": "#/$defs/none"}, "$: its schema refers to '/$defs/none'"),
        (1, {"$ref": "#"}, "$: its schema refers to itself too often"),
    ],
)  # fmt: skip
def test_the_first_thing_that_does_not_fit_is_told(value: Any, schema: Any, told: str) -> None:
    found = misfit(value, schema)
    assert found.startswith(told) and bool(found) == bool(told), found


@pytest.mark.parametrize("draft", ["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"])  # fmt: skip
def test_a_schema_of_a_caller_keeps_nobody_busy(draft: str) -> None:
    slow = {"$schema": draft, "properties": {"a": {"$schema": draft, "pattern": "^(a+)+$"}}}
    assert misfit({"a": "a" * 60 + "!"}, slow) == ""
    level: dict[str, Any] = {"l40": {}}
    for number in range(40):
        level[f"l{number}"] = {"allOf": [{"$ref": f"#/$defs/l{number + 1}"}] * 2}
    doubling = {"$schema": draft, "$defs": level, "$ref": "#/$defs/l0"}
    assert "too often" in misfit(1, doubling)


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        pytest.fail("it was looked for elsewhere")

    monkeypatch.setattr("socket.socket.connect", connect)
    assert "refers to 'http://127.0.0.1:9/s'" in misfit(1, {"$ref": "http://127.0.0.1:9/s"})


def test_what_is_no_schema_is_told() -> None:
    assert fault_of(CITY) == ""
    faults: dict[str, Any] = {
        "$.type: 'thing' is no type": {"type": "thing"},
        "$.items.type: '3' is no type": {"items": {"type": ["string", 3]}},
        "$.items.type: '{}' is no type": {"items": {"type": {}}},
        "$.properties: '3' is no schema": {"properties": 3},
        "$.properties.a: 'text' is no schema": {"properties": {"a": "text"}},
        "$.anyOf[1].required: it is no list": {"anyOf": [True, {"required": "a"}]},
        "$: '[]' is no schema": [],
    }
    for told, schema in faults.items():
        assert fault_of(schema) == told
    assert "its schema cannot be used" in misfit("a", {"minLength": "3"})
