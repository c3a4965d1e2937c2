from pathlib import Path

import pytest
import typst

from bottega.checks.base import Subject
from bottega.checks.numbers_grounded import NumbersGrounded, NumbersGroundedOptions
from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.core.passage import Passage
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict

SHEET = """The kettle holds 1.7 L and draws 2,200 W. It weighs 1.15 kg. Price: €1,299.00.
The guarantee is two years. On sale from 1 March 2026. It keeps 98 % of the heat for four cups. Model KX-200."""


async def judged(
    tmp_path: Path,
    text: str,
    *,
    media_type: str = "text/markdown",
    sheet: str = SHEET,
    computed: tuple[str, ...] = (),
    goal: str = "",
    params: JsonObject | None = None,
    options: NumbersGroundedOptions | None = None,
) -> Verdict:
    path = tmp_path / "artifact"
    path.write_text(text, encoding="utf-8")
    passage = Passage(
        id="s#1", source="sheet.md", sha256="0" * 64, page=1, start=0, end=len(sheet), text=sheet
    )
    artifact = Artifact(sha256=digest_bytes(text.encode()), media_type=media_type, size=len(text))
    subject = Subject(
        artifact=artifact,
        path=path,
        port="text",
        params=params or {},
        passages=[passage],
        computed=computed,
        goal=goal,
    )
    return await NumbersGrounded().judge(subject, options or NumbersGroundedOptions())


@pytest.mark.parametrize(
    "text",
    [
        "It holds 1.7 L.",
        "Elle contient 1,7 litre.",
        "Fassungsvermögen: 1,7 Liter",
        "1700 ml of water",
        "It draws 2.2 kW, that is 2200 watts.",
        "Elle consomme 2 200 W.",
        "Er kostet 1.299,00 €.",
        "It costs EUR 1 299.",
        "It costs €1299.",
        "Guaranteed for 24 months.",
        "Garantie de deux ans.",
        "From March 1, 2026.",
        "Ab 1. März 2026.",
        "Disponible el 1 de marzo de 2026.",
        "From 2026-03-01; new in 2026.",
        "It weighs 1150 g.",
        "98% of the heat, 4 cups.",
        "The KX-200 is here.",
        "1. First\n2. Second\n\n## 3. Third\n\nA note[^7] and [4](https://example.org/99).",
        "See page 14.",
        "No numbers at all.",
        "Clean it once a month; 4 in the box, 4 a day.",
        "Fünfunddreißig, thirty-six months, trente-six mois, treinta y seis meses, one point seven litres.",
    ],
)
async def test_what_the_sources_say_passes_however_it_is_written(tmp_path: Path, text: str) -> None:
    verdict = await judged(tmp_path, text)
    assert verdict.outcome == "pass", verdict.reason


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It weighs 1.7 kg.", "1.7 kg"),
        ("It holds 1.8 L.", "1.8 L"),
        ("It costs €1,199.00.", "€1,199.00"),
        ("It costs $1,299.00.", "$1,299.00"),
        ("Garantie de trois ans.", "trois ans"),
        ("36 months of guarantee.", "36 months"),
        ("From 2 March 2026.", "2 March 2026"),
        ("Keeps 99 % of the heat.", "99 %"),
        ("Over 50000 customers.", "50000"),
        ("The KX-300 is here.", "KX-300"),
        ("A fuse of 10 A.", "10 A"),
        ("It is 9 in wide.", "9 in"),
    ],
)
async def test_an_invented_number_is_blocked_with_its_place(tmp_path: Path, text: str, found: str) -> None:
    verdict = await judged(tmp_path, f"A line.\n\n{text}")
    assert verdict.outcome == "block", verdict
    missing = verdict.evidence["missing"]
    assert [one["found"] for one in missing] == [found]
    assert missing[0]["place"].startswith("line 3, column ")


async def test_the_nearest_known_number_is_named(tmp_path: Path) -> None:
    verdict = await judged(tmp_path, "It holds 1.8 L.")
    assert verdict.evidence["missing"][0]["nearest"] == "1.7 L"
    assert "1.7 L" in verdict.reason


async def test_a_small_count_is_flagged_and_options_decide(tmp_path: Path) -> None:
    assert (await judged(tmp_path, "Here are 7 reasons.")).outcome == "flag"
    strict = NumbersGroundedOptions(small_counts="block")
    assert (await judged(tmp_path, "Here are 7 reasons.", options=strict)).outcome == "block"
    mild = NumbersGroundedOptions(outcome="flag")
    assert (await judged(tmp_path, "It holds 9 L.", options=mild)).outcome == "flag"


async def test_tables_give_units_by_their_column_names(tmp_path: Path) -> None:
    table = "model,price_eur,power_w\nA,49.50,1500\nB,299,100"
    assert (await judged(tmp_path, "A costs €49.50, B 299 EUR.", computed=(table,))).outcome == "pass"
    assert (await judged(tmp_path, "A costs £49.50.", computed=(table,))).outcome == "block"
    rows = '{"columns": [{"name": "price_eur"}], "rows": [[49.5], [1, 299]]}'
    assert (await judged(tmp_path, "It costs 49,50 €.", computed=(rows,), sheet="x")).outcome == "pass"
    assert (await judged(tmp_path, "It costs 777 €.", computed=(rows,), sheet="x")).outcome == "block"


async def test_json_values_are_read_but_offsets_of_citations_are_not(tmp_path: Path) -> None:
    good = (
        '{"items": [{"answer": "1.7 L", "citations": [{"start": 4711, "quote": "1.7 L"}], '
        '"entailment": {"verdict": "supports", "score": 0.7253}}], "watts": 2200}'
    )
    assert (await judged(tmp_path, good, media_type="application/json")).outcome == "pass"
    bad = await judged(tmp_path, '{"spec": {"watts": 2300}}', media_type="application/json")
    assert bad.outcome == "block"
    assert bad.evidence["missing"][0]["place"].startswith("/spec/watts")


async def test_html_scripts_are_not_read_and_the_goal_counts(tmp_path: Path) -> None:
    page = "<style>p{margin:777px}</style><p>It holds <b>1.7</b> L and 640 people like it.</p>"
    assert (await judged(tmp_path, page, media_type="text/html", goal="for 640 people")).outcome == "pass"
    assert (await judged(tmp_path, page, media_type="text/html")).outcome == "block"


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (
            "Solo 79.00 0.6 1200 0.82 58 165 0 24",
            "pass",
        ),  # cells side by side, as a typeset table is extracted
        ("Solo 79.00 0.6 1200 0.82 58 166 0 24", "block"),  # one of two cells stands nowhere
        ("Solo 79.00 0.6 1200 0.82 58 165 kg", "block"),  # the cell with its unit stands nowhere
    ],
)
async def test_cells_of_a_typeset_table_are_read_apart(tmp_path: Path, row: str, outcome: str) -> None:
    path = tmp_path / "table.pdf"
    data: bytes = typst.compile(f"Models\n\n{row}".encode())
    path.write_bytes(data)
    table = "model,price,litres,watts,metres,db,mm,cups,months\nSolo,79.00,0.6,1200,0.82,58,165,0,24"
    artifact = Artifact(sha256=digest_bytes(data), media_type="application/pdf", size=len(data))
    subject = Subject(artifact=artifact, path=path, port="pdf", computed=(table,))
    verdict = await NumbersGrounded().judge(subject, NumbersGroundedOptions())
    assert verdict.outcome == outcome, verdict.reason


async def test_in_prose_a_grouped_number_is_one_number(tmp_path: Path) -> None:
    verdict = await judged(tmp_path, "We sold 58 165 kettles.", sheet="58 dB and 165 mm, model 7")
    assert verdict.outcome == "block"
    assert verdict.evidence["missing"][0]["found"] == "58 165"


async def test_the_query_that_made_rows_is_no_claim(tmp_path: Path) -> None:
    query = "SELECT model FROM t1 LIMIT 1"
    rows = f'{{"columns": [], "rows": [], "query": "{query}"}}'
    kind = "application/json"
    assert (await judged(tmp_path, rows, media_type=kind, params={"sql": query})).outcome == "pass"
    assert (await judged(tmp_path, rows, media_type=kind)).outcome == "block"
