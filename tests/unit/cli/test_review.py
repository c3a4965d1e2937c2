"""A person decides at the command line."""

from pathlib import Path

from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import POLICY, echo


def waiting(cli: Cli) -> str:
    """A run with one step that a check blocked, and one that is good; gives the review's id."""
    write_plan(cli.root / "plan.json", [echo("short", "word"), echo("good")])
    said = cli("make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml",
               "--out", cli.root / "out", "--yes", "--run-id", "mine", expect=4)  # fmt: skip
    assert "short" in said.out + said.err
    (review,) = cli("review", "list", "--json").json
    assert review["decision"] is None
    return review["id"]


def test_what_is_blocked_waits_and_approval_releases_it(cli: Cli) -> None:
    review = waiting(cli)
    out = cli.root / "out"
    assert (out / "good.txt").is_file() and not (out / "short.txt").exists()
    assert review[:12] in cli("review", "list").out
    shown = cli("review", "show", review[:8]).out
    assert "at least 2 were asked" in shown
    file = next(line.split()[1] for line in shown.splitlines() if line.startswith("file"))
    assert Path(file).read_text() == "word"
    assert cli("review", "show", review, "--json").json["ticket"]["step"] == "short"
    policy = ("--policy", cli.root / "policy.toml")
    said = cli("review", "approve", review[:8], "--who", "Ada", expect=3)
    assert "another policy" in said.err and "--policy" in said.err
    assert cli("review", "list", "--json").json[0]["decision"] is None
    said = cli("review", "approve", review[:8], "--who", "Ada", *policy)
    assert "released" in said.out
    assert (out / "short.txt").read_text() == "word"
    assert "valid" in cli("verify", out / "short.txt").out
    assert cli("review", "list", "--json").json == []
    assert cli("review", "list", "--all", "--json").json[0]["decision"]["who"] == "Ada"
    assert "no open review" in cli("review", "approve", review, "--who", "Eve", *policy, expect=2).err


def test_a_rejection_keeps_it_from_leaving(cli: Cli) -> None:
    review = waiting(cli)
    said = cli("review", "reject", review, "--who", "Ada", "--why", "says nothing",
               "--policy", cli.root / "policy.toml")  # fmt: skip
    assert "says nothing" in said.out
    assert not (cli.root / "out" / "short.txt").exists()
    assert (cli.root / "out" / "good.txt").is_file()


def test_a_rejection_needs_a_reason_and_a_name(cli: Cli) -> None:
    review = waiting(cli)
    policy = ("--policy", cli.root / "policy.toml")
    assert "reason" in cli("review", "reject", review, "--who", "Ada", "--why", " ", *policy, expect=2).err
    assert "who" in cli("review", "approve", review, "--who", " ", *policy, expect=2).err
    assert cli("review", "list", "--json").json[0]["decision"] is None


def test_the_policy_can_ask_for_a_person(cli: Cli) -> None:
    assert "shown_to_a_person" in POLICY
    write_plan(cli.root / "plan.json", [echo("a")], kind="shown_to_a_person")
    cli("make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml",
        "--out", cli.root / "out", "--yes", expect=4)  # fmt: skip
    assert "rule 'shown'" in cli("review", "list").out


def test_an_unknown_review(cli: Cli) -> None:
    said = cli("review", "show", "feed", expect=2)
    assert "no review starts with 'feed'" in said.err and "bottega review list" in said.err
