"""The blueprints that ship."""

import re
from importlib.resources import files

import pytest

from bottega import plugins
from bottega.core.errors import InvalidPlan, NotFound
from bottega.pipelines import blueprints as package
from bottega.pipelines.blueprints import blueprint, blueprints, fill
from bottega.pipelines.intent import KINDS


def test_every_file_loads_under_its_own_name() -> None:
    names = {file.name for file in files(package).iterdir() if file.name.endswith(".toml")}
    assert {f"{name}.toml" for name in blueprints()} == names


def test_a_brief_can_ask_for_every_kind_that_is_shown_and_for_no_other() -> None:
    assert {name for name, each in blueprints().items() if not each.hidden} == set(KINDS)


@pytest.mark.parametrize("name", blueprints())
def test_a_blueprint_makes_something_out_of_what_exists(name: str) -> None:
    plan = blueprint(name)
    assert plan.title and plan.summary
    assert plan.hidden or plan.parts or plan.deliver
    for part in plan.parts:
        assert not blueprint(part).hidden
    steps = {step.id for step in plan.steps}
    assert len(steps) == len(plan.steps)
    for step in plan.steps:
        assert step.engine in plugins.found("bottega.engines")
        assert set(step.checks) <= set(plugins.found("bottega.checks"))
        for reference in (each for references in step.inputs.values() for each in references):
            if found := re.fullmatch(r"@(\w+)\.([\w-]+)\.(\w+)", reference):
                assert found[2] in {other.id for other in blueprint(found[1]).steps}, reference
            elif not re.fullmatch(r"(sources|documents|tables):\*", reference):
                assert reference.partition(".")[0] in steps, reference
    assert {item.output.partition(".")[0] for item in plan.deliver} <= steps


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(NotFound, match="unknown kind of deliverable 'poster'") as caught:
        blueprint("poster")
    assert "one_pager" in caught.value.remedy
    assert "storyboard" not in caught.value.remedy


def test_variables_keep_their_type_and_a_missing_one_is_named() -> None:
    variables = {"n": 3, "who": "Ada", "list": ["a"]}
    value = {"count": "$n", "words": ["$who pays $$$n", "$list"], "flag": True}
    assert fill(value, variables, "here") == {"count": 3, "words": ["Ada pays $3", ["a"]], "flag": True}
    with pytest.raises(InvalidPlan, match="no variable 'nobody'") as caught:
        fill({"x": "for $nobody"}, variables, "blueprint 'a', step 'b'")
    assert caught.value.where == "blueprint 'a', step 'b'"
