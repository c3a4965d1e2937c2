"""The values that everything else passes around."""

import json

import pytest
from pydantic import ValidationError

from bottega.core.brief import LANGUAGE_NAMES, Brief, Constraints, Wanted
from bottega.core.plan import Deliverable, Plan, Step


def plan(**change: object) -> Plan:
    fields: dict[str, object] = {
        "brief": Brief(goal="say something"),
        "steps": (Step(id="a", engine="echo"),),
        "deliverables": (Deliverable(output="a.text", path="a.txt", title="A", kind="text"),),
    }
    return Plan.model_validate(fields | change)


def test_a_plan_survives_its_own_file() -> None:
    first = plan()
    assert Plan.model_validate_json(first.canonical()) == first
    assert Plan.model_validate(first.document()).identity == first.identity
    assert plan(policy="f" * 64).identity != first.identity


def test_a_step_is_found_by_its_id() -> None:
    assert plan().step("a").engine == "echo"
    with pytest.raises(KeyError, match="ghost"):
        plan().step("ghost")


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a/b", "x" * 65])
def test_names_of_steps_are_plain(name: str) -> None:
    with pytest.raises(ValidationError):
        Step(id=name, engine="echo")


@pytest.mark.parametrize(
    "change",
    [{"engine": "other"}, {"version": "2"}, {"weights": "w"}, {"params": {"text": "x"}}, {"seed": 8}],
)
def test_what_makes_a_result_is_in_its_key(change: dict[str, object]) -> None:
    step = Step(id="a", engine="echo", version="1", seed=7)
    key = step.key({"text": ("0" * 64,)})
    assert step.model_copy(update=change).key({"text": ("0" * 64,)}) != key
    assert step.key({"text": ("1" * 64,)}) != key
    assert step.key({"other": ("0" * 64,)}) != key
    assert step.key({"text": ("0" * 64,)}, feedback="shorter") != key


def test_a_stored_plan_gives_an_engine_what_a_new_one_does() -> None:
    params = {"schema": {"title": 1.0, "closing": {"b": [{"y": 0, "x": -0.0}], "a": 2.5}}, "prompt": "x"}
    new = Step(id="a", engine="echo", params=params, inputs={"text": ("b.text",), "evidence": ("c.text",)})
    stored = Step.model_validate_json(new.canonical())
    assert json.dumps(new.params) == json.dumps(stored.params)
    assert list(new.params["schema"]) == ["closing", "title"] and list(params["schema"]) == [
        "title",
        "closing",
    ]
    assert list(new.inputs) == list(stored.inputs) == ["evidence", "text"]


@pytest.mark.parametrize(
    "change", [{"id": "b"}, {"why": "because"}, {"seconds": 9.0}, {"cost": 1.0}, {"checks": {"length": {}}}]
)
def test_what_does_not_make_it_is_not(change: dict[str, object]) -> None:
    step = Step(id="a", engine="echo", version="1", seed=7)
    assert step.model_copy(update=change).key({}) == step.key({})


@pytest.mark.parametrize(
    "fields",
    [
        {"goal": "x"},
        {"goal": "a page", "languages": ("xx",)},
        {"goal": "a page", "seed": -1},
        {"goal": "a page", "colour": "red"},
        {"goal": "a page", "deliverables": ({"kind": "icon_set", "count": 13},)},
        {"goal": "a page", "deliverables": ({"kind": "voice_over", "seconds": 4},)},
        {"goal": "a page", "constraints": {"max_seconds": 0}},
        {"goal": "a page", "constraints": {"max_cost": -0.01}},
    ],
)
def test_a_brief_has_bounds(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Brief.model_validate(fields)


def test_a_brief_is_its_content() -> None:
    first = Brief(goal="a page", constraints=Constraints(local_only=True))
    assert first.identity == Brief.model_validate_json(first.canonical()).identity
    assert first.identity != Brief(goal="a page").identity
    assert Brief(goal="a page", deliverables=(Wanted(kind="faq"),)).deliverables[0].count is None
    assert set(LANGUAGE_NAMES) == {"en", "fr", "de", "es", "it", "pt", "nl"}
    with pytest.raises(ValidationError):
        first.goal = "another"  # pyright: ignore[reportAttributeAccessIssue]
