import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image

from bottega.core.artifact import Artifact
from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench
from bottega.engines.document import Document

pytestmark = [pytest.mark.weights("inter-fonts"), pytest.mark.weights("display-fonts")]

SOURCES = Path(__file__).parents[2] / "examples/launch-kit/sources"
TEXT = """
The kettle that stops at the right degree, made in Dundalk.

### Exact

From 40 °C to 100 °C.

### Quiet

44 dB, about as loud as a library.
"""
ROWS = {
    "columns": [{"name": "model", "type": "text"}, {"name": "price_eur", "type": "number"}],
    "rows": [["Solo", 79.5], ["Home", 119.25]],
    "query": "",
}


def picture(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 180), colour).save(out, "PNG")
    return out.getvalue()


async def make(bench: Bench, text: str, *parts: Part, **params: Any) -> dict[str, Finished]:
    request = Request(
        engine="document", parts=(Part(port="text", name="t.md", text=text), *parts), params=params, seed=7
    )
    return {out.port: out async for out in Document().generate(request, bench) if isinstance(out, Finished)}


def pages(made: Finished) -> tuple[int, str]:
    pdf: Any = pypdfium2.PdfDocument(made.data or b"")
    try:
        return len(pdf), "\n".join(page.get_textpage().get_text_range() for page in pdf)
    finally:
        pdf.close()


@pytest.mark.parametrize("template", ["one_pager", "page", "data_sheet"])
async def test_every_template_holds_words_values_and_picture(
    bench: Bench, store_file: Callable[[bytes, str], Artifact], template: str
) -> None:
    hero = Part(port="images", name="hero.png", artifact=store_file(picture("#a04020"), "image/png"))
    data = Part(port="data", name="table.rows", text=json.dumps(ROWS))
    made = await make(
        bench, TEXT, hero, data, template=template, title="Tarnwick kettles", brand="Tarnwick", language="fr",
        palette=["#12403C", "#C46A35"],
    )  # fmt: skip
    count, words = pages(made["pdf"])
    assert count == made["pdf"].details["pages"] == 1
    for expected in ("Tarnwick kettles", "44", "Solo", "79,5", "119,25", "Price (EUR)"):
        assert expected in words
        assert expected in (made["html"].data or b"").decode()
    assert made["pdf"].details["standard"] == "ua-1"
    assert re.search(rb"/Lang ?\(fr\)", made["pdf"].data or b"")
    pdf: Any = pypdfium2.PdfDocument(made["pdf"].data or b"")
    shown: Any = pdf[0].render(scale=0.5).to_pil().convert("RGB")
    pdf.close()
    colours: list[tuple[int, tuple[int, int, int]]] = shown.getcolors(1_000_000)
    assert (160, 64, 32) in [colour for _, colour in colours]


@pytest.mark.parametrize("template", ["one_pager", "page"])
async def test_a_banner_is_shown_whole(
    bench: Bench, store_file: Callable[[bytes, str], Artifact], template: str
) -> None:
    drawn = Image.new("RGB", (700, 200), "#ff00ff")
    drawn.paste("#00ff00", (0, 20, 700, 180))
    out = io.BytesIO()
    drawn.save(out, "PNG")
    banner = Part(port="images", name="banner.png", artifact=store_file(out.getvalue(), "image/png"))
    made = await make(bench, TEXT, banner, template=template, title="Tarnwick kettles")
    pdf: Any = pypdfium2.PdfDocument(made["pdf"].data or b"")
    shown: Any = pdf[0].render(scale=1).to_pil().convert("RGB")
    pdf.close()
    column = [shown.getpixel((shown.width // 2, y)) for y in range(shown.height)]
    edge, middle = column.count((255, 0, 255)), column.count((0, 255, 0))
    assert middle > 100 and abs(edge - middle / 4) <= 3  # 40 rows of the edge colour to 160


async def test_sections_side_by_side_carry_icons_in_their_order(
    bench: Bench, store_file: Callable[[bytes, str], Artifact]
) -> None:
    icons = [
        Part(port="icons", name=f"icons.icon{n}", artifact=store_file(picture(colour), "image/png"))
        for n, colour in enumerate(("#ff0000", "#0000ff"), 1)
    ]
    made = await make(bench, TEXT, *icons, template="one_pager", title="Tarnwick kettles")
    assert made["pdf"].details["standard"] == "ua-1"
    html = (made["html"].data or b"").decode()
    exact, quiet = (html.partition('class="cards"')[2].split('<section class="card">'))[1:3]
    assert '<img class="icon" ' in exact and 'alt=""' in exact and "Exact" in exact
    assert '<img class="icon" ' in quiet and exact.split('src="')[1] != quiet.split('src="')[1]
    pdf: Any = pypdfium2.PdfDocument(made["pdf"].data or b"")
    shown: Any = pdf[0].render(scale=1).to_pil().convert("RGB")
    pdf.close()
    colours: list[tuple[int, tuple[int, int, int]]] = shown.getcolors(1_000_000)
    assert {(255, 0, 0), (0, 0, 255)} <= {colour for _, colour in colours}


async def test_same_request_same_bytes(bench: Bench) -> None:
    first, second = await make(bench, TEXT, title="T"), await make(bench, TEXT, title="T")
    assert first["pdf"].data == second["pdf"].data
    assert first["html"].data == second["html"].data


async def test_one_page_is_kept_or_refused(bench: Bench) -> None:
    sheet = (SOURCES / "product-sheet.md").read_text(encoding="utf-8")
    made = await make(bench, sheet.partition("## Sustain")[0], template="one_pager", brand="Tarnwick")
    assert pages(made["pdf"])[0] == 1
    assert made["pdf"].details["type_size"] < 10
    with pytest.raises(EngineFailed, match=r"fills \d\.\d pages .*shorten it by \d+ %"):
        await make(bench, sheet * 3, template="one_pager")
    assert pages((await make(bench, sheet * 3, template="page"))["pdf"])[0] > 3


async def test_glyphs_that_no_face_has_do_not_break_the_document(bench: Bench) -> None:
    made = await make(bench, "# Kettles\n\n漢字 \ue000 text\n")
    assert made["pdf"].details["standard"] == "tagged"
    assert "text" in pages(made["pdf"])[1]


async def test_pictures_notes_and_mistakes(
    bench: Bench, store_file: Callable[[bytes, str], Artifact]
) -> None:
    inner = Part(port="images", name="icons.icon1", artifact=store_file(picture("#2040a0"), "image/png"))
    made = await make(
        bench, "# T\n\nNote[^1].\n\n![An icon](icons.icon1)\n\n[^1]: “44 dB” — sheet.md, p. 1\n", inner
    )
    assert "44" in pages(made["pdf"])[1]
    assert b'alt="An icon"' in (made["html"].data or b"")
    broken = Part(port="images", name="broken.png", artifact=store_file(b"no picture", "image/png"))
    with pytest.raises(EngineFailed, match="typesetting failed"):
        await make(bench, TEXT, broken)
    with pytest.raises(EngineFailed, match="not a colour"):
        await make(bench, TEXT, palette=["#12"])
    with pytest.raises(EngineFailed, match="neither copy nor table"):
        await make(bench, TEXT, Part(port="data", name="d", text="[1]"))
