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
    assert (review["state"], review["decisions"]) == ("open", [])
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
    assert cli("review", "list", "--json").json[0]["decisions"] == []
    said = cli("review", "approve", review[:8], "--who", "Ada", *policy)
    assert "released" in said.out
    assert (out / "short.txt").read_text() == "word"
    assert "valid" in cli("verify", out / "short.txt").out
    assert cli("review", "list", "--json").json == []
    assert cli("review", "list", "--all", "--json").json[0]["decisions"][0]["who"] == "Ada"
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
    assert cli("review", "list", "--json").json[0]["decisions"] == []


def test_the_policy_can_ask_for_a_person(cli: Cli) -> None:
    assert "shown_to_a_person" in POLICY
    write_plan(cli.root / "plan.json", [echo("a")], kind="shown_to_a_person")
    cli("make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml",
        "--out", cli.root / "out", "--yes", expect=4)  # fmt: skip
    assert "rule 'shown'" in cli("review", "list").out


def test_an_unknown_review(cli: Cli) -> None:
    said = cli("review", "show", "feed", expect=2)
    assert "no review starts with 'feed'" in said.err and "bottega review list" in said.err


STAFF = f"""{POLICY}
[review]
approvals = 2
roles = ["legal", "brand"]
due_hours = 24
expires_hours = 72
escalate_to = "Cy"
[[people]]
name = "Ada"
roles = ["legal"]
key = "KEY"
[[people]]
name = "Bo"
roles = ["brand"]
[[people]]
name = "Cy"
"""


def test_two_people_decide_one_of_them_with_a_key(cli: Cli) -> None:
    said = cli("review", "key", cli.root / "ada.pem").out
    assert said == cli("review", "key", cli.root / "ada.pem").out  # shown again, not made again
    (cli.root / "policy.toml").write_text(STAFF.replace('key = "KEY"', said))
    policy = ("--policy", cli.root / "policy.toml")
    review = waiting(cli)

    assert "Bo has review" in cli("review", "claim", review, "--who", "bo", *policy).out
    assert "take it over" in cli("review", "claim", review, "--who", "Cy", *policy, expect=3).err
    (row,) = cli("review", "list", "--mine", "Bo", "--json").json
    assert (row["owner"], row["overdue"], row["due_at"] < row["expires_at"]) == ("Bo", False, True)
    assert cli("review", "list", "--mine", "Ada", *policy, "--json").json == []
    assert cli("review", "list", "--overdue", "--json").json == []

    ada = ("review", "approve", review, "--who", "Ada", *policy)
    assert "must be signed" in cli(*ada, expect=3).err
    cli("review", "key", cli.root / "other.pem")
    assert "not by the key" in cli(*ada, "--key", cli.root / "other.pem", expect=9).err
    assert "none of the roles" in cli("review", "approve", review, "--who", "Cy", *policy, expect=3).err
    assert "does not list" in cli("review", "approve", review, "--who", "Eve", *policy, expect=3).err
    said = cli(*ada, "--key", cli.root / "ada.pem").out
    assert "more people must decide: 1 of 2, brand missing" in said
    assert "1 of 2, brand missing" in cli("review", "list").out
    assert "approve by Ada, signed" in cli("review", "show", review).out
    assert "released" in cli("review", "approve", review, "--who", "Bo", *policy).out
    assert (cli.root / "out" / "short.txt").read_text() == "word"
    assert "Ada, Bo" in (cli.root / "out" / "manifest.json").read_text()


def test_who_made_the_run_does_not_approve_it(cli: Cli) -> None:
    cli.environment["BOTTEGA_ACTOR"] = "user:ada"
    review = waiting(cli)
    policy = ("--policy", cli.root / "policy.toml")
    said = cli("review", "approve", review, "--who", "Ada", *policy, expect=3)
    assert "asked for this run" in said.err
    assert "released" in cli("review", "approve", review, "--who", "Bo", *policy).out
