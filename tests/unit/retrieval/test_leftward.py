"""Right-to-left text of a PDF stands in the order in which it is read, whatever is mixed into it."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
import typst
from tests.collecting import Shelved

from bottega.retrieval.answers.gate import cited_from
from bottega.retrieval.convert import convert
from bottega.retrieval.convert.leftward import Glyph, Letter, glyphs, logical

HEBREW = (
    "האחריות למוצר Rill Duo היא 24 חודשים (מיום הקנייה), והמחיר 79.50 אירו.",
    "הנחה של 50% בשנים 2024-2025, כלומר ₪12 פחות מהמחיר הרגיל.",
    "גרסה Rill One (v2) נמכרת מאז 01/02/2024 בכל החנויות [ראה נספח א].",
    "ההספק הוא 18 W והמשקל 1.5 kg בלבד.",
    "שָׁלוֹם לכולם ותודה רבה.",
)
ARABIC = (
    "الضمان مدته ٢٤ شهرا من يوم الشراء (حتى ٢٠٢٦)، والسعر 79.50 يورو لكل جهاز.",
    "لا إله إلا الله، والإسلام دين السلام والأمان للجميع.",
    "اشترى أحمد جهاز Rill Duo من المتجر في المدينة الكبيرة.",
    "قرأ الْكِتَاب كله في يوم واحد.",
)
MIXED = (
    "The words אחת שתיים (שלוש) mean one, two and three.",
    "A kettle is called غلاية الماء in Arabic (and קומקום חשמלי in Hebrew).",
)


def printed(*paragraphs: str, language: str = "he", to: str = "rtl", width: int = 460) -> bytes:
    text = "\n\n".join(
        each if each.startswith("#") else each.replace("[", "\\[").replace("]", "\\]") for each in paragraphs
    )
    return typst.compile(
        f"#set page(width: {width}pt, height: 400pt, margin: 30pt)\n"
        f'#set text(size: 11pt, lang: "{language}", dir: {to})\n#set par(spacing: 24pt)\n{text}'.encode()
    )


@pytest.mark.parametrize(
    ("paragraphs", "language", "to"),
    [(HEBREW, "he", "rtl"), (ARABIC, "ar", "rtl"), (MIXED, "en", "ltr")],
)
@pytest.mark.parametrize("width", [460, 230])
async def test_every_paragraph_comes_out_as_it_was_written(
    tmp_path: Path, paragraphs: tuple[str, ...], language: str, to: str, width: int
) -> None:
    (tmp_path / "a.pdf").write_bytes(printed(*paragraphs, language=language, to=to, width=width))
    document = await convert(tmp_path / "a.pdf")
    assert document.text.replace("\n\n", " ") == unicodedata.normalize("NFC", " ".join(paragraphs))
    assert document.notes == ()


async def test_the_cells_of_a_table_are_read_from_the_right(tmp_path: Path) -> None:
    table = "#table(columns: (80pt, 90pt, 90pt), [דגם], [מחיר], [הספק], [Solo], [79 EUR], [1200 W], [Duo], [99 EUR], [2000 W])"
    (tmp_path / "a.pdf").write_bytes(printed("אלה הם הדגמים והמחירים שלהם היום בחנות.", table))
    text = (await convert(tmp_path / "a.pdf")).text
    assert "דגם: Solo; מחיר: 79 EUR; הספק: 1200 W\nדגם: Duo; מחיר: 99 EUR; הספק: 2000 W" in text


async def test_quoted_words_have_their_place_and_are_found(shelved: Shelved) -> None:
    path = shelved.write("a.pdf", printed(*HEBREW))
    document = await convert(path)
    (passage,) = document.passages
    at = passage.start + passage.text.index("האחריות למוצר")
    (box,) = cited_from(passage, at, at + len("האחריות למוצר")).boxes
    assert 410 < box[2] <= 432 and 300 < box[0] < 400, "it begins at the right edge"
    (other,) = cited_from(passage, at + 14, at + 22).boxes  # Rill Duo
    assert passage.text[14:22] == "Rill Duo" and other[2] <= box[0] + 2
    await _indexed(shelved)
    assert shelved.names("Duo") == ["files/a.pdf"] == shelved.names("הקנייה")


async def _indexed(shelved: Shelved) -> None:
    import asyncio

    await asyncio.to_thread(shelved.index)


def drawn(paper: str, order: Sequence[int]) -> bytes:
    """A PDF in which the letters ``paper``, given from left to right, are drawn one by one in this order."""
    shapes = sorted({*paper})
    codes = {letter: 65 + n for n, letter in enumerate(shapes)}
    mapped = "\n".join(f"<{codes[letter]:02x}> <{ord(letter):04x}>" for letter in shapes)
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /M def\n"
        "1 begincodespacerange <00> <ff> endcodespacerange\n"
        f"{len(shapes)} beginbfchar\n{mapped}\nendbfchar\nendcmap end end"
    )
    marks = [
        f"1 0 0 1 {100 + 7.2 * n:.1f} 700 Tm <{codes[paper[n]]:02x}> Tj" for n in order if paper[n] != " "
    ]
    page = "BT /F 12 Tf " + " ".join(marks) + " ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(page)} >>\nstream\n{page}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /ToUnicode 6 0 R >>",
        f"<< /Length {len(cmap)} >>\nstream\n{cmap}\nendstream",
    ]
    out, places = "%PDF-1.4\n", list[int]()
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    trailer = f"trailer << /Size 7 /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return (out + f"xref\n0 7\n0000000000 65535 f \n{table}" + trailer).encode()


@pytest.mark.parametrize("shapes", ["as seen", "as meant"])
@pytest.mark.parametrize("order", ["left to right", "right to left"])
async def test_other_makers_of_pdf_draw_in_other_orders(tmp_path: Path, order: str, shapes: str) -> None:
    read = "אבגד הו Rill Duo (זחט) 24 יכל, 79.50 מנס."
    paper = ".סנמ 79.50 ,לכי 24 (טחז) Rill Duo וה דגבא"
    if shapes == "as meant":
        paper = paper.replace("(", "<").replace(")", "(").replace("<", ")")
    places = range(len(paper))
    (tmp_path / "a.pdf").write_bytes(drawn(paper, places if order == "left to right" else places[::-1]))
    assert (await convert(tmp_path / "a.pdf")).text == read


def test_a_ligature_is_turned_back_and_letters_drawn_in_their_forms_are_letters() -> None:
    alike = [Letter("\u0627", 10.0, 16.0, 10.0, 0.0), Letter("\u0644", 10.0, 16.0, 10.0, 0.0)]
    assert [glyph.text for glyph in glyphs(alike, 10.0)] == ["\u0644\u0627"]
    form = [Letter("\ufefb", 10.0, 16.0, 10.0, 0.0)]
    assert [glyph.text for glyph in glyphs(form, 10.0)] == ["\u0644\u0627"]
    latin = [Letter("f", 10.0, 16.0, 10.0, 0.0), Letter("i", 10.0, 16.0, 10.0, 0.0)]
    assert [glyph.text for glyph in glyphs(latin, 10.0)] == ["fi"]


@pytest.mark.parametrize("shape", ["()", ")("])
def test_brackets_are_settled_whichever_way_a_pdf_has_them(shape: str) -> None:
    read = f"אב {shape[0]}גד{shape[1]}, הו"
    paper = [Glyph(letter, float(place), place + 1.0) for place, letter in enumerate(reversed(read))]
    assert "".join(glyph.text for glyph in logical(paper, to_left=True)) == "אב (גד), הו"
