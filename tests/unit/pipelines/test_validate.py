"""Every invalid edit gets one clear error that names the step and the field."""

import pytest
from tests.unit.pipelines.conftest import echo, plan_of

from bottega.core.brief import Constraints
from bottega.core.errors import BottegaError, BudgetExceeded, InvalidPlan, PolicyDenied
from bottega.core.plan import Plan, Step
from bottega.pipelines.validate import validate
from bottega.pipelines.workshop import Workshop


def test_a_good_plan_passes(shop: Workshop) -> None:
    validate(plan_of(echo("a"), echo("b", after=("a",))), shop)


@pytest.mark.parametrize(
    ("steps", "where", "words"),
    [
        ([echo("a"), echo("a")], "step 'a'", "two steps"),
        ([echo("a", after=("b",)), echo("b", after=("a",))], "inputs", "wait for each other"),
        ([echo("a", after=("ghost",))], "step 'a', field 'inputs'", "not in the plan"),
        ([echo("a", engine="echoo")], "step 'a', field 'engine'", "unknown engine 'echoo'"),
        ([echo("a", version="99")], "step 'a', field 'version'", "99"),
        ([echo("a", params={"txt": 1})], "step 'a', field 'params.txt'", "Extra inputs"),
        ([echo("a", params={"delay": -1})], "step 'a', field 'params.delay'", "greater than or equal"),
        ([echo("a", inputs={"sound": ("source:x",)})], "step 'a', field 'inputs.sound'", "no such input"),
        ([echo("a", inputs={"text": ("source:x",)})], "step 'a', field 'inputs.text'", "no source"),
        (
            [echo("a"), echo("b", inputs={"text": ("a.sound",)})],
            "step 'b', field 'inputs.text'",
            "no output 'sound'",
        ),
        ([echo("a", checks={"lenght": {}})], "step 'a', field 'checks.lenght'", "unknown check"),
        ([echo("a", checks={"length": {"max": 1}})], "step 'a', field 'checks.length.max'", "Extra"),
        ([echo("a", checks={"not_blank": {}})], "step 'a', field 'checks.not_blank'", "judges image"),
        ([echo("a", engine="table", params={}, checks={})], "step 'a', field 'inputs.tables'", "required"),
    ],
)
def test_an_invalid_edit_names_the_step_and_the_field(
    shop: Workshop, steps: list[Step], where: str, words: str
) -> None:
    with pytest.raises(InvalidPlan) as caught:
        validate(plan_of(*steps), shop)
    assert where in caught.value.where
    assert words in str(caught.value)


def edited(plan: Plan, **change: object) -> Plan:
    item = plan.deliverables[0].model_copy(update=change)
    return plan.model_copy(update={"deliverables": (item,)})


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.txt", "a//b", "a\\b"])
def test_a_deliverable_stays_in_the_folder(shop: Workshop, path: str) -> None:
    with pytest.raises(InvalidPlan, match="inside the output folder"):
        validate(edited(plan_of(echo("a")), path=path), shop)


def test_checks_of_the_policy_cannot_be_edited_away(shop: Workshop) -> None:
    with pytest.raises(PolicyDenied, match="length"):
        validate(plan_of(echo("a", checks={})), shop)


def test_no_rule_means_no_release(shop: Workshop) -> None:
    step = echo("a", params={"text": "{}", "media_type": "application/json"}, checks={})
    with pytest.raises(PolicyDenied, match="no rule"):
        validate(plan_of(step), shop)


def test_nothing_leaves_when_nothing_may(shop: Workshop) -> None:
    step = echo(
        "a", engine="openai_chat", params={"prompt": "x", "base_url": "http://localhost:1", "model": "m"}
    )
    with pytest.raises(PolicyDenied, match="nothing may leave"):
        validate(plan_of(step, constraints=Constraints(local_only=True)), shop)


@pytest.mark.parametrize("limits", [Constraints(max_cost=0.01), Constraints(max_seconds=5)])
def test_an_estimate_above_the_limit_is_refused(shop: Workshop, limits: Constraints) -> None:
    error: type[BottegaError] = BudgetExceeded
    with pytest.raises(error, match="the limit is"):
        validate(plan_of(echo("a", cost=0.02, seconds=9.0), constraints=limits), shop)
