"""Real engines that need no weights: table, chart, layout and document come out the same, here and on another machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bottega.bootstrap import build
from bottega.core.brief import Brief
from bottega.core.errors import NotFound
from bottega.delivery.manifest import Manifest
from bottega.service import Bottega
from bottega.settings import Settings

SHEET = Path(__file__).parents[2] / "examples" / "launch-kit" / "sources" / "prices-and-specs.csv"
STEPS = [
    {
        "id": "cheapest",
        "engine": "table",
        "inputs": {"tables": ["tables:*"]},
        "params": {"sql": "SELECT model, price_eur FROM t1 ORDER BY price_eur LIMIT 3"},
    },
    {
        "id": "bars",
        "engine": "chart",
        "inputs": {"table": ["cheapest.rows"]},
        "params": {"x": "model", "y": ["price_eur"], "title": "Prices"},
        "port": "png",
        "path": "prices.png",
    },
    {
        "id": "note",
        "engine": "compose",
        "inputs": {"data": ["cheapest.rows"]},
        "params": {"template": "# Prices\n\n{{ cheapest | markdown_table }}\n"},
        "path": "note.md",
    },
    {
        "id": "sheet",
        "engine": "document",
        "inputs": {"text": ["note.text"]},
        "port": "pdf",
        "path": "sheet.pdf",
    },
    {"id": "cover", "engine": "layout", "params": {"title": "Prices"}, "port": "png", "path": "cover.png"},
]


def opened(folder: Path) -> Bottega:
    return build(Settings(state=folder))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bottega]:
    service = opened(tmp_path / "here")
    yield service
    service.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Bottega]:
    service = opened(tmp_path / "elsewhere")
    yield service
    service.close()


async def test_a_run_and_its_artifacts_are_made_again_to_the_byte(
    here: Bottega, elsewhere: Bottega, tmp_path: Path
) -> None:
    brief = Brief.model_validate({"goal": "The cheapest kettles", "sources": [str(SHEET)], "steps": STEPS})
    made = await here.make(await here.plan(brief), tmp_path / "out", run_id="kettles")
    assert made.run.state == "released", made.run.reason
    report = await here.replay("kettles")
    assert report.finding == "identical", report
    assert len(report.steps) == len(STEPS)

    manifest = tmp_path / "out" / "manifest.json"
    with pytest.raises(NotFound, match="prices-and-specs"):
        await elsewhere.regenerate(manifest)
    report = await elsewhere.regenerate(manifest, sources=[SHEET])
    assert report.finding == "identical", report
    files = Manifest.model_validate_json(manifest.read_bytes()).artifacts
    assert len(files) == len(STEPS) - 1  # the table is not delivered
    now = {f"{each.step}.{port}": sha256 for each in report.steps for port, sha256 in each.now.items()}
    assert now == {file.output: file.content_digest for file in files}

    await elsewhere.regenerate(manifest, "prices.png", out=tmp_path / "prices.png")
    assert (tmp_path / "prices.png").read_bytes().startswith(b"\x89PNG")
