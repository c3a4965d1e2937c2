"""`bottega replay` and keys of programs, at the command line."""

import json
from pathlib import Path

from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import echo


def make(cli: Cli, *more: str | Path, expect: int = 0, out: str = "out") -> str:
    said = cli(
        "make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml",
        "--out", cli.root / out, "--json", *more, expect=expect,
    )  # fmt: skip
    run: str = said.json.get("run", {}).get("id", "")
    return run


def test_a_run_and_its_folder_are_made_again(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    run = make(cli)
    said = cli("replay", run)
    assert "identical: 2 same, 0 differ, 0 not made" in said.out
    assert "[2/2]" in said.err or "second" in said.out
    report = cli("replay", run, "--step", "first", "--json").json
    assert (report["finding"], [step["step"] for step in report["steps"]]) == ("identical", ["first"])
    manifest = cli.root / "out" / "manifest.json"
    said = cli("replay", "--manifest", manifest, "--artifact", "second.txt", "--out", cli.root / "made.txt")
    assert (cli.root / "made.txt").read_text() == "one two\nthree four"
    assert "as it was before signing" in said.out
    assert [run["id"] for run in cli("runs", "--json").json] == [run]


def test_a_folder_is_made_again_where_nothing_is_known(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    make(cli)
    cli.environment["BOTTEGA_STATE"] = str(cli.root / "elsewhere")
    report = cli("replay", "--manifest", cli.root / "out" / "manifest.json", "--json").json
    assert report["finding"] == "identical"
    assert [step["outcome"] for step in report["steps"]] == ["same", "same"]


def test_bytes_that_differ_without_a_reason_end_with_9(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    make(cli)
    manifest = cli.root / "out" / "manifest.json"
    facts = json.loads(manifest.read_text())
    facts["artifacts"][1]["content_digest"] = "0" * 64  # the folder claims other bytes than its plan makes
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(facts))
    said = cli(
        "replay", "--manifest", manifest, "--artifact", "second.txt", "--out", cli.root / "made.txt", expect=9
    )
    assert "unexplained: 0 same, 1 differ" in said.out
    assert "'echo' declares to be exact, and is not" in said.out
    assert "look at step 'second' first" in said.out
    assert not (cli.root / "made.txt").exists()


def test_differences_that_are_explained_end_with_1(cli: Cli) -> None:
    plan = write_plan(cli.root / "plan.json", [echo("a", "one two", version="1")])
    run = make(cli)
    facts = json.loads((cli.root / "out" / "manifest.json").read_text())
    assert facts["made_on"]["a"]["threads"] >= 1
    manifest = cli.root / "out" / "manifest.json"
    manifest.chmod(0o644)
    facts["made_on"]["a"]["build"] = "0.0.1+000000000000"
    facts["artifacts"][0]["content_digest"] = "0" * 64
    manifest.write_text(json.dumps(facts))
    said = cli("replay", "--manifest", manifest, "--json", expect=1).json
    assert said["steps"][0]["reasons"][0]["cause"] == "build"
    assert plan.exists() and cli("replay", run).code == 0


def test_what_cannot_be_meant_is_refused(cli: Cli) -> None:
    for words in (
        (),
        ("run", "--manifest", "m.json"),
        ("run", "--artifact", "a"),
        ("--manifest", "m", "--step", "a"),
    ):
        assert "give a RUN" in cli("replay", *words, expect=2).err
    assert "no run 'gone'" in cli("replay", "gone", expect=2).err


def test_a_program_that_asks_twice_gets_one_run(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    first = make(cli, "--idempotency-key", "order-17")
    assert make(cli, "--idempotency-key", "order-17") == first
    assert len(cli("runs", "--json").json) == 1
    make(cli, "--idempotency-key", "order-17", out="elsewhere", expect=2)


def test_who_replays_pays_or_is_refused(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    run = make(cli)
    assert "identical" in cli("replay", run, "--charge", "team:audit").out
    assert (
        "identical"
        in cli("replay", "--manifest", cli.root / "out" / "manifest.json", "--charge", "team:audit").out
    )
    cli("budget", "set", "team:audit", "--unit", "word", "--limit", "1")
    said = cli("replay", run, "--charge", "team:audit", expect=3)
    assert "the budget team:audit has" in said.err and "bottega budget set" in said.err
