"""What is kept about a person is sealed, and gone for good when the key is destroyed; the record stays whole."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import POLICY, echo

from bottega.bootstrap import build
from bottega.core.brief import Brief, Wanted
from bottega.core.canonical import digest_bytes
from bottega.core.errors import NotFound, PolicyDenied
from bottega.core.request import Request
from bottega.governance.keyring import KeyRing
from bottega.pipelines.intent import Ask, Intent
from bottega.pipelines.sources import at_hand, take_in
from bottega.service import operations
from bottega.settings import Settings
from bottega.storage.budgets import Charge
from bottega.storage.leases import Claim, Lease

STRANGER = Path(__file__).parents[3] / "examples" / "verify_proof.py"
TEAM = "team:home"
NAME = "Ada Lovelace"
TEXT = "Ada Lovelace wrote to Babbage on the ninth"
SOURCE = "# Letters\n\nLovelace lived at 12 St James's Square in those years.\n"


def make(cli: Cli, run: str, *more: str | Path, expect: int = 0) -> None:
    cli(
        "make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml", "--out", cli.root / run,
        "--yes", "--run-id", run, *more, expect=expect,
    )  # fmt: skip


def found_in(folder: Path, *words: str) -> list[tuple[Path, str]]:
    """Every file, log of the database included, that holds one of the words or is named by it."""
    hits: list[tuple[Path, str]] = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            hits += [(path, word) for word in words if word.encode() in data or word in path.name]
    return hits


def test_all_about_a_person_is_sealed_and_an_erasure_leaves_nothing_but_the_proofs(
    cli: Cli, tmp_path: Path
) -> None:
    write_plan(cli.root / "plan.json", [echo("other", "nobody at all")])
    make(cli, "about-nobody")
    write_plan(cli.root / "plan.json", [echo("letter", TEXT), echo("more", "and so on", ("letter",))])
    make(cli, "about-ada", "--data-subject", NAME)
    made = [digest_bytes(TEXT.encode()), digest_bytes(f"{TEXT}\nand so on".encode())]
    delivered = cli.root / "about-ada" / "letter.txt"
    assert delivered.read_text() == TEXT
    # Before the erasure no text is in the state; tables hold references that the erasure deletes.
    assert found_in(cli.state, TEXT, NAME, "Babbage") == []
    assert {path.name for path, _ in found_in(cli.state, *made)} <= {"bottega.sqlite", "bottega.sqlite-wal"}
    assert found_in(cli.state, *made)
    entries = cli("audit", "log", "run/about-ada", "--json").json
    assert all(entry["sealed"] or not entry["detail"] for entry in entries)
    assert not any(each in json.dumps(entries) for each in made)
    assert cli("audit", "verify", "--json").json["sealed"] >= 6
    cli("audit", "prove", delivered, "--out", tmp_path / "letter.json")
    cli("audit", "prove", cli.root / "about-nobody" / "other.txt", "--out", tmp_path / "other.json")
    # The same work for somebody else, or for nobody, is not taken over from a person's.
    make(cli, "about-ada", expect=2)
    before = cli("audit", "checkpoint").out
    (tmp_path / "before").write_text(before)

    words = ("erase", NAME, "--why", "letter of the 3rd", "--who", "user:dpo", "--yes")
    said = cli(*words, "--out", tmp_path / "receipt.json")
    assert str(cli.root / "about-ada") in said.out and "delete" in said.out
    assert found_in(cli.state, TEXT, NAME, "Lovelace", "Babbage", *made) == []
    assert [run["id"] for run in cli("runs", "--json").json] == ["about-nobody"]
    assert "no run 'about-ada'" in cli("review", "list", "--json").err + _resume(cli)
    make(cli, "about-ada", "--data-subject", NAME, expect=3)
    after = cli("audit", "verify", "--checkpoint", tmp_path / "before", "--json").json
    assert after["holds"] and after["erased"] >= 6
    _fold_again(cli)
    assert cli("audit", "verify", "--json").json["holds"]

    for proof, file in (("letter.json", delivered), ("other.json", cli.root / "about-nobody" / "other.txt")):
        _stranger(tmp_path / proof, "--file", file)
    sealed = next(entry["n"] for entry in entries if entry["sealed"])
    cli("audit", "prove", str(sealed), "--out", tmp_path / "sealed.json")
    _stranger(tmp_path / "sealed.json")
    assert json.loads((tmp_path / "sealed.json").read_text())["sealed"] is None
    assert "erased" in cli("audit", "prove", delivered, expect=2).err

    _stranger(tmp_path / "receipt.json")
    entry = json.loads(json.loads((tmp_path / "receipt.json").read_text())["entry"])
    assert (entry["act"], entry["actor"]) == ("privacy:subject:erased", "user:dpo")
    assert entry["why"] == "letter of the 3rd"
    assert entry["detail"]["runs"] == ["about-ada"] and entry["detail"]["files"] == 2
    assert entry["detail"]["entries"] == after["erased"] and "delivered" in entry["detail"]["not_covered"]
    # Again it gives the receipt of the one erasure; somebody unknown, or named in the reason, is refused.
    assert cli(*words, "--json").json["entry"] == entry["n"]
    assert "nothing was ever kept" in cli("erase", "Bob", "--why", "x", "--yes", expect=2).err
    cli("erase", NAME, "--why", f"{NAME} asked", "--yes", expect=2)


def _resume(cli: Cli) -> str:
    code = (
        "import asyncio\nfrom bottega.bootstrap import build\nfrom bottega.core.errors import NotFound\n"
        "try:\n    asyncio.run(build().resume('about-ada'))\nexcept NotFound as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=cli.variables, capture_output=True, text=True, check=True
    )
    return done.stdout


def _fold_again(cli: Cli) -> None:
    """The tables made anew from what is left are the tables that the erasure left."""
    service = build(Settings(state=cli.state, home=cli.root / "home"))
    before = _tables(cli)
    service.state.fold_again()
    service.close()
    assert _tables(cli) == before


def _tables(cli: Cli) -> list[str]:
    database = sqlite3.connect(cli.state / "bottega.sqlite")
    try:
        return sorted(line for line in database.iterdump() if line.startswith("INSERT"))
    finally:
        database.close()


def _stranger(*words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, STRANGER, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_person_can_look_at_what_is_sealed_and_decide(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [echo("letter", TEXT)], kind="shown_to_a_person")
    make(cli, "shown", "--data-subject", NAME, expect=4)
    (review,) = cli("review", "list", "--json").json
    assert "--copy" in cli("review", "show", review["id"]).out
    cli("review", "show", review["id"], "--copy", cli.root / "look.txt")
    assert (cli.root / "look.txt").read_text() == TEXT
    policy = ("--policy", cli.root / "policy.toml")
    cli("review", "approve", review["id"], "--who", "user:eva", *policy)
    assert (cli.root / "shown" / "letter.txt").read_text() == TEXT
    cli("erase", NAME, "--why", "asked", "--yes")
    assert cli("review", "list", "--all", "--json").json == []
    assert cli("audit", "verify", "--json").json["holds"]
    assert found_in(cli.state, TEXT, NAME, digest_bytes(TEXT.encode())) == []


async def test_sources_are_sealed_and_erased_while_a_worker_holds_a_lease(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    settings = Settings(home=tmp_path / "home", state=tmp_path / "state")
    service = build(settings, policy=tmp_path / "policy.toml")
    holder = service.privacy.holder_of(NAME)
    shop = service.shop_of(holder)
    (tmp_path / "Lovelace.md").write_text(SOURCE)
    brief = Brief(goal="say something", sources=(str(tmp_path / "Lovelace.md"),))
    (source,) = await take_in(brief, shop, lambda text: None)
    assert at_hand([source], shop).passages[0].text.startswith("Letters")
    path = write_plan(tmp_path / "plan.json", [echo("letter", TEXT)])
    plan = service.read_plan(path).model_copy(update={"sources": (source,)})
    run = service.submit(plan, None, run_id="waits", data_subject=NAME)
    run = service.shop.runs.join(run.id, actor=service.shop.workers.register())
    assert run.holder == holder
    service.state.database.write(
        lambda transaction: service.state.budgets.set_limit(transaction, TEAM, "usd", 100, actor="user:test")
    )
    claim = Claim(
        run=run.id, round=run.round, step="letter", key="k", checks="", engine="echo", holder=holder,
        charge=Charge((TEAM,), {"usd": 60}),
    )  # fmt: skip
    worker = service.shop.workers.id
    lease = await service.shop.runs.claim(claim, worker=worker, host=service.shop.workers.host)
    assert isinstance(lease, Lease)
    assert found_in(settings.state / "artifacts", SOURCE, "Square", source.sha256) == []

    erased = service.privacy.erase(NAME, why="asked")
    assert erased.clean and erased.warning == ""
    assert service.state.database.rows("SELECT * FROM leases") == []
    assert [row.reserved for row in service.state.budgets.all()] == [0]
    assert found_in(settings.state, TEXT, NAME, "Lovelace", "Square", source.sha256) == []
    with pytest.raises(NotFound):
        service.shop.runs.get(run.id)
    assert service.shop.runs.over(run.id, run.round)
    with pytest.raises(PolicyDenied):
        await service.shop.runs.claim(claim, worker=worker, host=service.shop.workers.host)
    with pytest.raises(PolicyDenied):
        service.shop_of(holder)
    assert service.audit.verify().erased > 0
    service.close()


async def test_what_is_asked_about_a_brief_is_sealed_and_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people's briefs and one about nobody: an erasure takes one, and the tables still fold the same."""

    async def read(brief: Brief, ask: Ask) -> Intent:
        (said,) = await ask(Request(engine="echo", params={"text": brief.goal}, seed=1))
        assert said.data == brief.goal.encode()
        return Intent(subject="x", summary="x", languages=("en",), deliverables=(Wanted(kind="chart"),))

    monkeypatch.setattr(operations, "read_intent", read)
    settings = Settings(home=tmp_path / "home", state=tmp_path / "state")
    service = build(settings)
    (tmp_path / "prices.csv").write_text("model,price\nSolo,79\nDuo,99\n")
    sources = (str(tmp_path / "prices.csv"),)
    await service.plan(Brief(goal="chart for nobody", sources=sources))
    for person in (NAME, "Bob"):
        plan = await service.plan(Brief(goal=f"chart for {person}", sources=sources), data_subject=person)
        assert [source.name for source in plan.sources] == ["prices.csv"]
    assert service.store.check() == []
    assert service.store.gc(dry_run=False, older_than_seconds=-1).count == 0
    service.privacy.erase(NAME, why="asked")
    assert found_in(settings.state, NAME, digest_bytes(f"chart for {NAME}".encode())) == []
    before = service.state.database.rows("SELECT * FROM steps ORDER BY run_id")
    assert len(before) == 2
    service.state.fold_again()
    assert service.state.database.rows("SELECT * FROM steps ORDER BY run_id") == before
    service.audit.verify()
    assert service.store.check() == []
    service.close()


def test_an_erasure_that_was_killed_half_way_is_finished_by_the_next(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", state=tmp_path / "state")
    service = build(settings)
    holder = service.privacy.holder_of(NAME)
    service.shop_of(holder).artifacts.put(TEXT.encode(), "text/plain")
    KeyRing(settings.state / "subject-keys").destroy(NAME)  # and then the power went
    erased = service.privacy.erase(NAME, why="asked")
    assert json.loads(erased.receipt.entry)["subject"] == f"subject/{holder}"
    assert service.store.gc(dry_run=False, older_than_seconds=-1).count == 1
    service.close()
