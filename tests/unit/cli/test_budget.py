"""A limit holds a run back, a person lets it go on; at the command line."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import echo

from bottega.core.errors import InvalidValue
from bottega.service.budgets import millionths, unit_named


def make(cli: Cli, expect: int, *more: str) -> str:
    said = cli(
        "make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml", "--out", cli.root / "out",
        "--yes", "--run-id", "kit", "--charge", "project:kettles", "--charge", "team:home", *more, expect=expect,
    )  # fmt: skip
    return said.out


def test_a_limit_holds_a_run_back_until_it_is_raised(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    assert cli("budget", "list", "--json").json == []
    said = cli(
        "budget", "set", "project:kettles", "--unit", "compute_seconds", "--limit", "1.5", "--why", "a trial"
    )
    assert "1.5" in said.out and "open" in said.out
    out = make(cli, 4)
    assert "the budget project:kettles has 1.5 compute_second left, the step may use 2 compute_second" in out
    assert "waiting for a person: bottega review list" in out
    assert "project:kettles" in cli("review", "list").out

    said = cli(
        "budget", "set", "project:kettles", "--unit", "compute_second", "--limit", "60", "--why", "it pays"
    )
    assert "run kit waited for it" in said.out and "bottega resume kit" in said.out
    cli("resume", "kit", "--policy", cli.root / "policy.toml")
    assert (cli.root / "out" / "second.txt").read_text() == "one two\nthree four"

    (row,) = [each for each in cli("budget", "list", "--json").json
              if (each["account"], each["unit"]) == ("project:kettles", "compute_second")]  # fmt: skip
    assert row["limit"] == "60" and row["reserved"] == "0" and row["state"] == "open"
    assert Decimal(row["spent"]) + Decimal(row["left"]) == 60
    shown = cli("budget", "show", "project:kettles", "--json").json
    told = [(entry["act"].rpartition(":")[2], entry.get("why", "")) for entry in shown["entries"]]
    assert told[0] == ("set", "a trial") and told[2] == ("set", "it pays")
    assert told[1][0] == "refused" and "1.5 compute_second left" in told[1][1]
    assert [act for act, _ in told[3:]] == ["reserved", "settled"] * 2
    assert "team:home" in cli("budget", "list").out
    text = cli("budget", "show", "project:kettles").out
    assert "a trial" in text and "limit 60 compute_second" in text and "run/kit/step/first" in text


def test_an_approval_lets_one_step_pass(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [echo("only", "one two")])
    cli("budget", "set", "team:home", "--unit", "compute_second", "--limit", "0")
    make(cli, 4)
    (asked,) = cli("review", "list", "--json").json
    assert asked["ticket"]["port"] == "budget"
    said = cli("review", "approve", asked["id"], "--who", "Ada", "--policy", cli.root / "policy.toml")
    assert "released" in said.out
    assert (cli.root / "out" / "only.txt").read_text() == "one two"
    (row,) = [each for each in cli("budget", "list", "--json").json
              if each["limit"] == "0"]  # fmt: skip
    assert row["state"] == "used up" and Decimal(row["left"]) < 0


def test_a_limit_that_is_taken_away_counts_on(cli: Cli) -> None:
    cli("budget", "set", "key:ci", "--limit", "0.25", "--near", "0.5", "--period", "month")
    row = cli("budget", "list", "--json").json[0]
    assert (row["unit"], row["limit"], row["near"], row["period"]) == ("usd", "0.25", "0.5", "month")
    said = cli("budget", "remove", "key:ci", "--why", "no longer ours", "--json").json
    assert said["units"][0]["limit"] is None
    assert said["units"][0]["state"] == "counts only"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("set", "kettles", "--limit", "5"), "no account"),
        (("set", "project:kettles", "--limit", "five"), "no amount"),
        (("set", "project:kettles", "--limit", "-5"), "no amount"),
        (("set", "project:kettles", "--limit", "0.0000001"), "no amount"),
        (("set", "project:kettles", "--limit", "5", "--unit", "tokenz"), "would hold nobody"),
        (("set", "project:kettles", "--limit", "5", "--near", "2"), "share"),
        (("show", "project:kettles"), "no account 'project:kettles'"),
    ],
)
def test_mistakes_are_one_clear_line(cli: Cli, words: tuple[str, ...], fault: str) -> None:
    said = cli("budget", *words, expect=2)
    assert fault in said.err and "what to do" in said.err
    assert json.loads(cli("budget", *words, "--json", expect=2).out)["error"]["exit_code"] == 2


def test_a_charge_to_no_account_is_refused_before_anything_runs(cli: Cli, tmp_path: Path) -> None:
    write_plan(cli.root / "plan.json")
    said = cli("make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml", "--yes",
               "--charge", "kettles", expect=2)  # fmt: skip
    assert "no account" in said.err and "project:NAME" in said.err
    assert cli("runs", "--json").json == []


def test_units_and_amounts_are_read_as_people_write_them() -> None:
    assert [unit_named(each) for each in ("USD", "$", "tokens", "Images", "meshes", "compute_seconds", "money")] == [
        "usd", "usd", "token", "image", "mesh", "compute_second", "usd",
    ]  # fmt: skip
    assert [millionths(each) for each in ("5", "0.25", 0.1, Decimal("1e-6"))] == [
        5_000_000,
        250_000,
        100_000,
        1,
    ]
    for wrong in ("", "nan", "inf", "-1", "1e99", "1,5"):
        with pytest.raises(InvalidValue):
            millionths(wrong)
    for wrong in ("", "s", "a b", "usd;"):
        with pytest.raises(InvalidValue):
            unit_named(wrong)
