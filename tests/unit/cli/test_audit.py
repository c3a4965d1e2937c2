"""Every attack on a real state is found and named at the command line; a stranger checks proofs without us."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli, Said, write_plan
from tests.unit.pipelines.conftest import POLICY, echo

from bottega.cli import show
from bottega.core.canonical import canonical_json
from bottega.governance.checkpoint import Checkpoint, RecordKey
from bottega.storage.merkle import leaf_hash, root_of

STRANGER = Path(__file__).parents[3] / "examples" / "verify_proof.py"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the state of two runs, one of them decided by a person, and a witness."""
    root = tmp_path_factory.mktemp("honest")
    (root / "policy.toml").write_text(POLICY)
    cli = Cli(root, {"BOTTEGA_WITNESS": str(root / "witness")})
    policy = ("--policy", root / "policy.toml")
    write_plan(root / "plan.json")
    cli("make", "--plan", root / "plan.json", *policy, "--out", root / "out", "--yes", "--run-id", "first")
    write_plan(root / "plan.json", [echo("shown", "look at this")], kind="shown_to_a_person")
    words = ("--out", root / "shown", "--yes", "--run-id", "shown")
    cli("make", "--plan", root / "plan.json", *policy, *words, expect=4)
    (review,) = cli("review", "list", "--json").json
    cli("review", "approve", review["id"], "--who", "user:ada", *policy)
    return root


@pytest.fixture
def there(honest: Path, tmp_path: Path) -> Cli:
    """A copy of that folder to attack."""
    shutil.copytree(honest, tmp_path / "copy", ignore=shutil.ignore_patterns("wakes"))
    return Cli(tmp_path / "copy")


def change(cli: Cli, *statements: str) -> None:
    with sqlite3.connect(cli.state / "bottega.sqlite") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def verify(cli: Cli, *more: str | Path) -> Said:
    return cli("audit", "verify", *more, expect=9)


def finding(cli: Cli, *more: str | Path) -> tuple[str, int, int]:
    said = verify(cli, "--json", *more).json
    assert said["holds"] is False and said["remedy"]
    return said["finding"], said["first"], said["last"]


def test_an_honest_record_holds_and_says_what_is_covered(there: Cli) -> None:
    found = there("audit", "verify", "--json").json
    assert (
        found["holds"] and found["entries"] == found["covered"] and found["uncovered"] == found["given"] == 0
    )
    assert found["checkpoints"] >= 3 and found["rows"] > 5 and found["documents"] > 3
    said = there("audit", "verify", "--checkpoint", there.root / "witness")
    assert "the record holds" in said.out and "from outside" in said.out
    assert "no checkpoint from outside" in there("audit", "verify").out


def test_entries_after_the_newest_checkpoint_are_named(there: Cli) -> None:
    change(there, "DELETE FROM checkpoints WHERE size > (SELECT MIN(size) FROM checkpoints)")
    found = there("audit", "verify", "--json").json
    assert found["uncovered"] == found["entries"] - found["covered"] > 0
    assert f"{found['covered']} to {found['entries'] - 1}" in there("audit", "verify").out


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["DELETE FROM journal WHERE n = 3"], ("deleted", 3, 3)),
        (["UPDATE journal SET entry = replace(entry, 'user:', 'usex:') WHERE n = 0"], ("edited", 0, 0)),
        (["UPDATE journal SET leaf = zeroblob(32) WHERE n = 2"], ("edited", 2, 2)),
        (
            [
                "CREATE TABLE swap AS SELECT n, entry, leaf FROM journal WHERE n IN (2, 4)",
                (
                    "UPDATE journal SET entry = (SELECT entry FROM swap WHERE swap.n = 6 - journal.n), "
                    "leaf = (SELECT leaf FROM swap WHERE swap.n = 6 - journal.n) WHERE n IN (2, 4)"
                ),
                "DROP TABLE swap",
            ],
            ("reordered", 2, 4),
        ),
    ],
)
def test_deletion_edit_and_reordering(
    there: Cli, statements: list[str], expected: tuple[str, int, int]
) -> None:
    change(there, *statements)
    assert finding(there) == expected
    said = verify(there)
    assert expected[0] in said.err and "what to do" in said.err


def test_truncation_is_found_by_the_checkpoints_kept_and_after_them_by_the_witness(there: Cli) -> None:
    size = there("audit", "verify", "--json").json["entries"]
    change(there, f"DELETE FROM journal WHERE n >= {size - 2}")
    assert finding(there) == ("truncated", size - 2, size - 1)
    change(there, f"DELETE FROM checkpoints WHERE size > {size - 2}")
    assert finding(there, "--checkpoint", there.root / "witness") == ("truncated", size - 2, size - 1)


def test_a_chain_recomputed_by_whoever_has_database_and_key(there: Cli) -> None:
    """Everything in the state is made to fit; only the checkpoint outside still knows."""
    database = sqlite3.connect(there.state / "bottega.sqlite")
    rows = database.execute("SELECT n, entry FROM journal ORDER BY n").fetchall()
    leaves: list[bytes] = []
    for n, text in rows:
        entry = json.loads(text)
        if entry["act"] == "review:ticket:approved":
            entry["actor"] = "user:eve"
        forged = canonical_json(entry)
        leaves.append(leaf_hash(forged))
        database.execute(
            "UPDATE journal SET entry = ?, leaf = ? WHERE n = ?", (forged.decode(), leaves[-1], n)
        )
    database.execute("UPDATE decisions SET who = 'user:eve'")
    database.execute("DELETE FROM checkpoints")
    key = RecordKey.local(there.state / "record-key")
    root = root_of(leaves).hex()
    note = key.sign(Checkpoint(origin=key.name, size=len(leaves), root=root, at="2026-01-01T00:00:00Z"))
    database.execute("INSERT INTO checkpoints (size, note, witnessed) VALUES (?, ?, 0)", (len(leaves), note))
    database.commit()
    database.close()
    assert "no checkpoint from outside" in there("audit", "verify").out
    found, _, last = finding(there, "--checkpoint", there.root / "witness")
    assert (found, last < len(leaves)) == ("rewritten", True)
    there("audit", "verify", "--checkpoint", there.root / "witness", "--key", "x", expect=2)


def test_a_rewritten_record_is_not_signed(there: Cli) -> None:
    change(there, "UPDATE journal SET leaf = zeroblob(32) WHERE n = 2")
    assert "rewritten" in there("audit", "checkpoint", expect=9).err


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "UPDATE runs SET state = 'failed' WHERE id = 'first'",
            ("'runs', id first", "'failed'", "'released'"),
        ),
        ("UPDATE results SET reusable = 1 - reusable WHERE run_id = 'first'", ("'results'", "reusable")),
        ("UPDATE decisions SET who = 'user:eve'", ("'decisions'", "'user:eve'", "'person:ada'")),
        ("DELETE FROM tickets", ("'tickets'", "missing")),
        (
            "INSERT INTO refs (sha256, run_id, holder) VALUES ('ab', 'first', '')",
            ("'refs'", "knows nothing of it"),
        ),
        ("UPDATE contents SET body = CAST('{}' AS BLOB)", ("'contents'", "hashes to")),
        ("DELETE FROM contents", ("'contents'", "an entry refers to it")),
    ],
)
def test_a_changed_row_is_named(there: Cli, statement: str, words: tuple[str, ...]) -> None:
    change(there, statement)
    said = verify(there, "--json").json
    assert said["type"] == "TablesAltered"
    assert all(word in said["message"] for word in words), said
    assert said["message"] in verify(there).err  # looking has changed nothing


def test_a_forged_checkpoint(there: Cli, tmp_path: Path) -> None:
    forger = RecordKey.local(tmp_path / "forger")
    note = forger.sign(Checkpoint(origin=forger.name, size=1, root="0" * 64, at="2026-01-01T00:00:00Z"))
    (tmp_path / "note").write_text(note)
    assert finding(there, "--checkpoint", tmp_path / "note")[0] == "forged checkpoint"


def stranger(*words: str | Path, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, STRANGER, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def test_a_stranger_checks_what_is_proved(there: Cli, tmp_path: Path) -> None:
    manifest = json.loads((there.root / "out" / "manifest.json").read_text())
    made = manifest["artifacts"][0]["content_digest"]
    old, proof, growth = tmp_path / "old", tmp_path / "proof.json", tmp_path / "growth.json"
    there("audit", "checkpoint", "--out", old)
    vkey = there("audit", "key").out.strip()
    for what in (there.root / "out" / "first.txt", made):
        there("audit", "prove", what, "--out", proof)
        there("audit", "grow", old, "--out", growth)
        words = ("--file", there.root / "out" / "first.txt", "--key", vkey)
        assert "first.txt" in stranger(proof, *words, "--older", old, "--growth", growth)
    entry = json.loads(json.loads(proof.read_text())["entry"])
    assert entry["act"] == "delivery:file:delivered"
    assert (entry["detail"]["made"], entry["detail"]["path"]) == (made, "first.txt")
    stranger(proof, "--file", there.root / "plan.json", expect=1)
    assert json.loads(there("audit", "prove", "0").out)["index"] == 0
    assert "no entry names" in there("audit", "prove", "0" * 64, expect=2).err
    assert "no file here" in there("audit", "prove", "gone.txt", expect=2).err
    assert "no entry 999" in there("audit", "prove", "999", expect=2).err


def test_a_picture_carries_its_credentials_and_is_proved_as_it_was_delivered(
    there: Cli, tmp_path: Path
) -> None:
    """What lies in the folder differs from what was made, and both hashes stand in one entry."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="5" height="5"/></svg>'
    step = echo("drawn", svg, params={"text": svg, "media_type": "image/svg+xml"}, checks={"decodes": {}})
    (tmp_path / "policy.toml").write_text(
        'format = "bottega.policy/1"\nname = "pictures"\n'
        '[[rules]]\nname = "all"\nmedia_types = ["*"]\nchecks = { decodes = {} }\n'
    )
    plan = write_plan(tmp_path / "plan.json", [step])
    text = plan.read_text().replace('"drawn.txt"', '"drawn.svg"')
    plan.write_text(text)
    there("make", "--plan", plan, "--policy", tmp_path / "policy.toml", "--out", tmp_path / "out", "--yes")
    there("audit", "prove", tmp_path / "out" / "drawn.svg", "--out", tmp_path / "proof.json")
    stranger(tmp_path / "proof.json", "--file", tmp_path / "out" / "drawn.svg")
    detail = json.loads(json.loads((tmp_path / "proof.json").read_text())["entry"])["detail"]
    assert detail["made"] != detail["delivered"]


def test_the_log_is_for_people_and_programs(there: Cli) -> None:
    said = there("audit", "log", "run/first")
    assert "pipeline:run:submitted" in said.out and "delivery:file:delivered" in said.out
    entries = there("audit", "log", "--last", "2", "--json").json
    assert len(entries) == 2 and entries[1]["n"] == entries[0]["n"] + 1


def test_what_stands_in_a_table_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show.table("Acts", ("act",), [("review:ticket:approved",), ("[bold]no mark[/bold]",)])
    said = capsys.readouterr().out
    assert "review:ticket:approved" in said and "[bold]no mark[/bold]" in said


def test_a_witness_that_cannot_be_written_loses_no_run_and_is_told(there: Cli, tmp_path: Path) -> None:
    there.environment["BOTTEGA_WITNESS"] = str(tmp_path / "not there" / "witness")
    write_plan(there.root / "plan.json", [echo("more", "one two")])
    said = there("make", "--plan", there.root / "plan.json", "--policy", there.root / "policy.toml",
                 "--out", tmp_path / "out", "--yes")  # fmt: skip
    assert (
        "warning: the record has no new checkpoint" in said.err and (tmp_path / "out" / "more.txt").is_file()
    )
    assert "cannot be written" in there("audit", "checkpoint", expect=8).err
    (tmp_path / "not there").mkdir()
    there("audit", "checkpoint")
    witness = tmp_path / "not there" / "witness"
    assert there("audit", "verify", "--checkpoint", witness, "--json").json["given"] == 1
