from pathlib import Path

import pytest

from bottega.checks.base import Subject
from bottega.checks.schema import Schema, SchemaOptions
from bottega.core.artifact import Artifact
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict

PRICE: JsonObject = {
    "type": "object",
    "required": ["price"],
    "properties": {"price": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}}},
}


async def judged(
    tmp_path: Path, text: str, media_type: str, options: SchemaOptions, **params: object
) -> Verdict:
    path = tmp_path / "file"
    path.write_text(text)
    artifact = Artifact(sha256="0" * 64, media_type=media_type, size=len(text))
    return await Schema().judge(
        Subject(artifact=artifact, path=path, port="record", params=dict(params)), options
    )


async def test_valid_json_passes_and_errors_name_their_place(tmp_path: Path) -> None:
    good = await judged(
        tmp_path, '{"price": 1, "tags": ["a"]}', "application/json", SchemaOptions(json_schema=PRICE)
    )
    assert good.outcome == "pass"
    bad = await judged(
        tmp_path, '{"price": "1", "tags": ["a", 2]}', "application/json", SchemaOptions(), json_schema=PRICE
    )
    assert bad.outcome == "block"
    assert [error["place"] for error in bad.evidence["errors"]] == ["/price", "/tags/1"]


async def test_without_a_schema_it_says_so(tmp_path: Path) -> None:
    verdict = await judged(tmp_path, "[]", "application/json", SchemaOptions())
    assert (verdict.outcome, verdict.reason) == ("pass", "well-formed JSON; no schema was asked for")


@pytest.mark.parametrize("text", ["{", '{"a": NaN}', ""])
async def test_what_is_not_json_cannot_pass(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|not JSON"):
        await judged(tmp_path, text, "application/json", SchemaOptions())


async def test_a_table_is_rectangular_with_named_columns(tmp_path: Path) -> None:
    assert (
        await judged(tmp_path, 'a,b\n1,"x,y"\n', "text/csv", SchemaOptions())
    ).reason == "1 rows, 2 columns"
    ragged = await judged(tmp_path, "a,b\n1\n", "text/csv", SchemaOptions())
    assert (ragged.outcome, ragged.evidence["errors"][0]["place"]) == ("block", "row 2")
    assert (await judged(tmp_path, "a,a\n1,2\n", "text/csv", SchemaOptions())).outcome == "block"
    assert (await judged(tmp_path, "", "text/csv", SchemaOptions())).outcome == "block"


async def test_a_schema_elsewhere_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        pytest.fail("it was looked for elsewhere")

    monkeypatch.setattr("socket.socket.connect", connect)
    elsewhere = SchemaOptions(json_schema={"$ref": "http://127.0.0.1:9/s"})
    with pytest.raises(Exception, match=r"Unresolvable: http://127.0.0.1:9/s"):  # which blocks
        await judged(tmp_path, "{}", "application/json", elsewhere)
