"""The record on both databases: verified, proved, a person erased, the tables folded again."""

import json
from pathlib import Path

import pytest
from tests.unit.pipelines.conftest import POLICY, echo, plan_of

from bottega.bootstrap import build
from bottega.core.canonical import digest_bytes
from bottega.core.errors import InvalidValue, TablesAltered
from bottega.governance import proof
from bottega.settings import Settings

NAME, TEXT = "Ada Lovelace", "Ada Lovelace wrote to Babbage on the ninth"


async def test_a_person_is_erased_and_the_record_stays_whole(either_database: str, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    settings = Settings(home=tmp_path / "home", state=tmp_path / "state", database=either_database)
    service = build(settings, policy=tmp_path / "policy.toml")
    await service.make(plan_of(echo("a", "nobody at all")), None, run_id="other")
    made = await service.make(plan_of(echo("a", TEXT)), None, run_id="hers", data_subject=NAME)
    assert (made.run.state, made.warning) == ("released", "")
    found = service.audit.verify()
    assert found.uncovered == 0 and found.sealed >= 4 and found.rows >= 6
    sha256 = digest_bytes(TEXT.encode())
    proved = service.audit.prove(sha256)
    assert proved.sealed is not None
    proof.verify(proved, service.audit.vkey, sha256)

    erased = service.privacy.erase(NAME, why="asked")
    assert erased.clean
    assert json.loads(erased.receipt.entry)["detail"]["files"] == 1
    for table in ("runs", "steps", "results", "refs", "contents", "sealed", "small", "documents"):
        rows = repr(service.state.database.rows(f"SELECT * FROM {table}"))
        assert sha256 not in rows and "hers" not in rows and erased.pseudonym not in rows
    before = service.state.database.rows("SELECT * FROM steps ORDER BY run_id, step_id")
    service.state.fold_again()
    assert service.state.database.rows("SELECT * FROM steps ORDER BY run_id, step_id") == before
    assert service.audit.verify().erased == found.sealed
    proof.verify(proved, service.audit.vkey, sha256)

    service.state.database.write(
        lambda transaction: transaction.execute("UPDATE runs SET state = 'failed'").rowcount
    )
    with pytest.raises(TablesAltered, match="'runs', id other: state is 'failed'"):
        service.audit.verify()
    if either_database:
        with pytest.raises(InvalidValue, match="own tools"):
            service.store.backup(tmp_path / "backup")
    service.close()
