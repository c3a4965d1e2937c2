import json
import re
from pathlib import Path
from typing import Any

import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.core.errors import EngineFailed
from bottega.engines.document.html_writer import HtmlWriter
from bottega.engines.document.markup import Cards, parse
from bottega.engines.document.sheet import Picture, Sheet, colours
from bottega.engines.document.typst_writer import TypstWriter, string
from bottega.engines.layout.colour import contrast, derive

FUNCTIONS = "#let (cards, picture, rule) = (x => x.flatten().join(), (p, alt) => text(alt), () => line())\n"
PIECES = st.sampled_from(
    [
        "#",
        "##",
        "###",
        ">",
        "-",
        "1.",
        "*",
        "_",
        "**",
        "`",
        "```",
        "~~~",
        "|",
        "---",
        "[",
        "]",
        "(",
        ")",
        "!",
        "\\",
        '"',
        "#",
        "$",
        "@",
        "<",
        ">",
        "{",
        "}",
        "[^1]",
        "[^1]:x",
        "//",
        "/*",
        "#set",
        '#panic("x")',
        "$x$",
        "@ref",
        "<label>",
        "=",
        "==",
        "+",
        "/",
        ":",
        "https://a.b",
        "![a](b)",
        "[a](javascript:x)",
        "&amp;",
        "<b>",
        "<script>",
        "é",
        "42",
    ]
)
MARKDOWN = st.lists(
    PIECES | st.sampled_from(["\n", "\n\n", " ", "    "]) | st.text(max_size=5), max_size=40
).map("".join)


def sheet(text: str, **changes: Any) -> Sheet:
    facts: dict[str, Any] = {
        "template": "page", "title": "T", "headline": "", "subtitle": "", "kicker": "", "brand": "B", "language": "en",
        "palette": derive(["#12403C", "#C46A35"], 0), "markup": parse(text), "pictures": (), "hero": None, "gallery": (),
    }  # fmt: skip
    return Sheet(**{**facts, **changes})


@settings(max_examples=150, deadline=None)
@given(MARKDOWN)
def test_any_markdown_compiles_and_stays_text(text: str) -> None:
    if not text.strip():
        return
    lead, body = TypstWriter(parse(text), {}).parts()
    source = f"{FUNCTIONS}{lead}\n{body}\n#metadata(none) <end>"
    found: Any = typst.query(source.encode(), "metadata", ignore_system_fonts=True)
    assert len(json.loads(found)) == 1


@given(st.text())
def test_a_string_holds_its_text_and_nothing_else(text: str) -> None:
    found: Any = typst.query(f"#metadata({string(text)}) <x>".encode(), "<x>", field="value", one=True)
    kept = "".join(c if c >= " " and c != "\x7f" else " " for c in text)
    assert json.loads(found).replace("\u00a0", " ") == kept.replace("\u00a0", " ")


@settings(max_examples=150)
@given(MARKDOWN)
def test_html_never_holds_what_the_text_brought(text: str) -> None:
    if not text.strip():
        return
    page = HtmlWriter(sheet(text)).page(b"")
    tags = set(re.findall(r"<([a-z0-9]+)[\s>]", page.split("<body", 1)[1]))
    assert not tags & {"script", "b", "style", "iframe"}
    assert "javascript:" not in re.findall(r'href="([^"]*)"', page)
    assert all(link.startswith(("#", "http", "mailto:")) for link in re.findall(r'href="([^"]*)"', page))


def test_a_number_and_its_unit_stay_on_one_line_in_both() -> None:
    markup = parse("from 40 °C to 100 °C, 3 kettles, `4 kg`")
    page = HtmlWriter(sheet("from 40 °C to 100 °C, 3 kettles, `4 kg`")).page(b"")
    assert "from 40\u00a0°C to 100\u00a0°C, 3 kettles, <code>4 kg</code>" in page
    assert '"from 40\u00a0°C to 100\u00a0°C, 3 kettles, "' in "".join(TypstWriter(markup, {}).parts())


def test_sections_title_and_notes_are_found() -> None:
    markup = parse(
        "# T\n\n**Sub**\n\nLead[^a].\n\n### A\n\nx\n\n### B\n\ny\n\n## C\n\n```\n[^a]: code\n```\n\n[^a]: Note\n"
    )
    assert markup.title is not None
    assert markup.subtitle is not None
    assert TypstWriter(markup, {}).words(markup.subtitle) == '[#"Sub";]'
    assert '<p class="subtitle">Sub</p>' in HtmlWriter(sheet("# T\n\n**Sub**\n\nx")).page(b"")
    assert [type(block) is Cards for block in markup.blocks] == [False, True, False, False]
    assert list(markup.footnotes) == ["a"]
    lead, body = TypstWriter(markup, {}).parts()
    assert '#footnote[#"Note";]' in lead
    assert "[^a]: code" in body


def test_heading_levels_have_no_gap() -> None:
    _, body = TypstWriter(parse("# T\n\n#### deep\n\n## A\n\n#### B\n\n#### C\n"), {}).parts()
    assert re.findall(r"level: (\d)", body) == ["1", "1", "2", "3"]


def test_html_is_semantic_and_self_contained() -> None:
    picture = Picture("0.png", "image/png", b"x", ("hero.png",), "A kettle")
    text = "# T\n\nA[^1] & <b>\n\n![Words](hero.png) ![Gone](http://x/y.png)\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n[^1]: Note"
    page = HtmlWriter(sheet(text, pictures=(picture,), language="fr")).page(b"font")
    assert '<html lang="fr">' in page
    assert "<h1>T</h1>" in page
    assert '<img src="data:image/png;base64,eA==" alt="Words">' in page
    assert "<em>Gone</em>" in page
    assert "&amp; &lt;b&gt;" in page
    assert '<th scope="col" class="right">b</th>' in page
    assert '<li id="note-1">Note' in page
    assert not re.search(r"(src|href)=\"https?:", page)


@pytest.mark.parametrize("brand", [["#ffffff"], ["#000000"], ["#ffff00", "#ff00ff"], ["#7f7f7f"], []])
def test_text_colours_are_readable(brand: list[str]) -> None:
    found = colours(derive(brand, 3))
    assert contrast(found["on_primary"], found["primary"]) >= 4.5
    assert contrast(found["accent_text"], found["paper"]) >= 4.5
    assert contrast(found["muted"], found["tint"]) >= 4.5


def test_empty_and_endless_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="empty"):
        parse(" \n")
    with pytest.raises(EngineFailed, match="more than"):
        parse("x" * 500_000)
