"""From a plan file to a delivered folder and back through verify, at the command line."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import POLICY, echo

KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make(cli: Cli, *more: str | Path, expect: int = 0, out: str = "out") -> Any:
    return cli(
        "make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml",
        "--out", cli.root / out, "--yes", *more, expect=expect,
    )  # fmt: skip


def test_a_plan_becomes_a_folder_that_verifies(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    said = make(cli)
    out = cli.root / "out"
    assert (out / "second.txt").read_text() == "one two\nthree four"
    assert {path.name for path in out.iterdir()} >= {
        "index.html",
        "manifest.json",
        "plan.json",
        "certificates",
    }
    assert "index.html" in said.out
    assert "[2/2]" in said.err
    manifest = json.loads((out / "manifest.json").read_text())
    assert [item["path"] for item in manifest["artifacts"]] == ["first.txt", "second.txt"]
    checked = cli("verify", out / "first.txt", out / "second.txt")
    assert checked.out.count("valid") >= 2
    assert "made by echo" in checked.out


def test_one_flipped_byte_of_any_delivered_file_is_seen(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    make(cli)
    for name in ("first.txt", "second.txt"):
        path = cli.root / "out" / name
        whole = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        said = cli("verify", path, expect=9)
        assert "tampered" in said.out
        assert "what to do" in said.out
        assert cli("verify", path, "--json", expect=9).json[0]["state"] == "tampered"
        path.write_bytes(whole)
        cli("verify", path)


def test_results_are_json_for_programs(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    made = make(cli, "--json").json
    assert made["run"]["state"] == "released"
    assert made["out"] == str(cli.root / "out")
    (run,) = cli("runs", "--json").json
    assert run["id"] == made["run"]["id"]
    assert run["id"] in cli("runs").out
    (checked,) = cli("verify", "--json", cli.root / "out" / "first.txt").json
    assert checked["state"] == "valid"


@pytest.mark.parametrize(
    ("change", "where", "words"),
    [
        ({"engine": "echoo"}, "step 'second', field 'engine'", "unknown engine"),
        ({"params": {"text": "x", "delay": "soon"}}, "step 'second', field 'params.delay'", "number"),
        ({"inputs": {"text": ["ghost.text"]}}, "step 'second', field 'inputs'", "ghost"),
        ({"seed": "seven"}, "step 'second', field 'seed'", "integer"),
        ({"wyh": "a slip"}, "step 'second', field 'wyh'", "Extra"),
    ],
)
def test_a_wrong_edit_is_one_line_with_step_and_field(
    cli: Cli, change: dict[str, Any], where: str, words: str
) -> None:
    path = write_plan(cli.root / "plan.json")
    plan = json.loads(path.read_text())
    plan["steps"][1] |= change
    path.write_text(json.dumps(plan))
    said = make(cli, expect=2)
    first, *rest = said.err.splitlines()
    assert first.startswith("error: ") and where in first and words in first
    assert all(line.startswith("  what to do: ") for line in rest)
    assert not (cli.root / "out").exists()
    error = make(cli, "--json", expect=2).json["error"]
    assert error["type"] == "InvalidPlan" and where in error["where"] and error["exit_code"] == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "bottega.plan/2"}', '{"steps": "none"}'])
def test_a_file_that_is_no_plan_is_refused(cli: Cli, text: str) -> None:
    (cli.root / "plan.json").write_text(text)
    said = make(cli, expect=2)
    assert "plan.json" in said.err
    assert len(said.err.splitlines()) <= 2


def test_a_missing_plan_file(cli: Cli) -> None:
    assert "no such file" in make(cli, expect=2).err


def test_checks_cannot_be_edited_away(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [echo("a", checks={})])
    said = make(cli, expect=3)
    assert "step 'a', field 'checks.length'" in said.err


def test_a_failed_step_ends_with_its_exit_code_and_what_is_good_is_delivered(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [echo("bad", params={"fail": "no paper"}), echo("free")])
    said = make(cli, expect=6)
    assert "no paper" in said.out + said.err
    assert (cli.root / "out" / "free.txt").is_file()
    assert not (cli.root / "out" / "bad.txt").exists()


def test_a_run_id_belongs_to_its_brief(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    make(cli, "--run-id", "mine")
    make(cli, "--run-id", "mine")
    write_plan(cli.root / "plan.json", goal="say something else")
    said = make(cli, "--run-id", "mine", expect=2, out="other")
    assert "another brief" in said.err and "choose another run id" in said.err
    assert not (cli.root / "other").exists()


def test_a_killed_run_goes_on_where_it_stopped(cli: Cli) -> None:
    slow = echo("slow", params={"text": "word " * 40, "delay": 0.05}, after=("quick",))
    write_plan(cli.root / "plan.json", [echo("quick", "done before"), slow])
    words = ("make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml",
             "--out", cli.root / "out", "--yes", "--run-id", "mine")  # fmt: skip
    process = cli.start(*words)
    assert process.stderr is not None
    for line in process.stderr:
        if "quick" in line:
            break
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (cli.root / "out").exists()
    (run,) = cli("runs", "--json").json
    assert run["state"] == "running"
    said = make(cli, "--run-id", "mine", "--json").json["run"]
    assert {step["step"]: step["state"] for step in said["results"]} == {"quick": "reused", "slow": "done"}
    assert said["state"] == "released"
    cli("verify", cli.root / "out" / "slow.txt")


def test_ctrl_c_stops_the_run_and_says_so(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [echo("slow", params={"text": "word " * 400, "delay": 0.05})])
    process = cli.start("make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml",
                        "--out", cli.root / "out", "--yes", "--run-id", "mine")  # fmt: skip
    database = cli.state / "bottega.sqlite"
    while not (database.exists() and "pipeline:step:leased" in database.read_bytes().decode("latin-1")
               + (database.with_name(f"{database.name}-wal").read_bytes().decode("latin-1")
                  if database.with_name(f"{database.name}-wal").exists() else "")):  # fmt: skip
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in out + err
    assert cli("runs", "--json").json[0]["state"] == "cancelled"


def test_paths_that_are_something_else(cli: Cli) -> None:
    (cli.root / "plan.json").mkdir()
    assert "Is a directory" in make(cli, expect=2).err
    (cli.root / "plan.json").rmdir()
    write_plan(cli.root / "plan.json")
    (cli.root / "out").write_text("a file")
    said = make(cli, expect=2)
    assert str(cli.root / "out") in said.err and "what to do" in said.err
    assert (cli.root / "out").read_text() == "a file"
    cli("verify", cli.root, expect=2)


def test_a_damaged_state_database(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    make(cli)
    database = cli.state / "bottega.sqlite"
    for path in cli.state.glob("bottega.sqlite-*"):
        path.unlink()
    database.write_bytes(database.read_bytes()[:4096] + b"x" * 8192)
    said = cli("runs", expect=8)
    assert "state database" in said.err and "BOTTEGA_STATE" in said.err


def test_a_wrong_policy_and_a_wrong_key(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    (cli.root / "policy.toml").write_text("format = 1")
    assert "policy.toml" in make(cli, expect=2).err
    (cli.root / "policy.toml").unlink()
    assert "policy.toml" in make(cli, expect=2).err
    key = ("make", "--plan", cli.root / "plan.json", "--yes", "--signing-key", cli.root / "key.pem")
    assert "only one is given" in cli(*key, expect=2).err
    (cli.root / "policy.toml").write_text(POLICY)
    more = ("--policy", cli.root / "policy.toml", "--certificate", cli.root / "chain.pem")
    for expected in ("key.pem", "chain.pem"):
        said = cli(*key, *more, expect=2)
        assert expected in said.err
        assert "[1/2]" not in said.err  # no step has run
        (cli.root / "key.pem").write_bytes(KEY)
    assert cli("runs", "--json").json == []


def test_a_failed_run_of_which_no_words_were_kept_goes_on_with_its_plan(cli: Cli) -> None:
    policy = cli.root / "digest.toml"
    policy.write_text(POLICY.replace('name = "test"\n', 'name = "test"\nrecord = "digest"\n', 1))
    plan = write_plan(cli.root / "plan.json", [echo("a", "one two"), echo("b", params={"fail": "no paper"})])
    words = ("make", "--plan", plan, "--policy", policy, "--run-id", "mine", "--yes")
    cli(*words, "--out", cli.root / "out", expect=6)
    said = cli("resume", "mine", "--policy", policy, expect=2)
    assert "bottega make FILE --run-id mine" in said.err
    assert "one two" not in (cli.root / "out" / "plan.json").read_text()
    write_plan(cli.root / "plan.json", [echo("a", "one two"), echo("b", "three four")])
    done = cli(*words, "--out", cli.root / "out", "--json").json
    assert {result["step"]: result["state"] for result in done["run"]["results"]} == {
        "a": "reused",
        "b": "done",
    }
