import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bottega.core.errors import Cancelled, EngineFailed
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench
from bottega.engines.compose import Compose, names
from bottega.engines.compose_filters import markdown

ROWS = '{"columns": [{"name": "model", "type": "text"}, {"name": "price", "type": "number"}], "rows": [["A|B", 79.00]]}'
CITED = {
    "items": [
        {
            "question": "Is it quiet?",
            "answer": "Yes, *very*.",
            "citations": [
                {
                    "passage": "s#1",
                    "source": "s.md",
                    "page": 1,
                    "start": 3,
                    "end": 9,
                    "quote": "44 dB",
                    "score": 1.0,
                }
            ],
        }
    ]
}


async def write(bench: Bench, template: str, *parts: Part, **params: Any) -> str:
    request = Request(engine="compose", parts=parts, params={"template": template, **params})
    (made,) = [out async for out in Compose().generate(request, bench) if isinstance(out, Finished)]
    return (made.data or b"").decode()


async def test_parts_are_found_by_name_and_by_order(bench: Bench, store_file: Any) -> None:
    rows = Part(port="data", name="spec-table.rows", artifact=store_file(ROWS, "application/json"))
    plain = Part(port="data", name="source:intro.md", text="Hello")
    template = "{{ intro }} {% for r in spec_table|records %}{{ r.model|md_cell }}: {{ r.price }}{% endfor %}"
    assert await write(bench, template, rows, plain) == "Hello A\\|B: 79.00"
    assert await write(bench, "{{ data[1] }} {{ spec_table_rows.rows|length }}", rows, plain) == "Hello 1"


def test_names_of_parts() -> None:
    assert names("copy-fr.draft.text") == ("draft", "copy_fr_draft", "copy_fr_draft_text")
    assert names("source:faq.json") == ("faq", "faq_json")
    assert names("2025 plan.csv") == ("v_2025_plan", "v_2025_plan_csv")
    assert names("notes") == ("notes",)


async def test_csv_is_rows_by_column(bench: Bench, store_file: Any) -> None:
    table = Part(port="data", name="t.csv", artifact=store_file("model,price\nA,79.00\n", "text/csv"))
    assert await write(bench, "{{ t[0].price|money('€') }}", table) == "€79.00"


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", "12,345.60 1.50 kg €79.00"),
        ("fr", "12 345,60 1,50 kg 79,00 €"),
        ("de", "12.345,60 1,50 kg 79,00 €"),
    ],
)
async def test_numbers_follow_the_language(bench: Bench, language: str, expected: str) -> None:
    text = await write(
        bench, "{{ 12345.6|number(2) }} {{ 1.5|unit('kg', 2) }} {{ 79|money('€') }}", language=language
    )
    assert text.replace("\u00a0", " ").replace("\u202f", " ") == expected


async def test_footnotes_carry_quote_and_place(bench: Bench) -> None:
    template = (
        "{% for i in faq|footnoted %}{{ i.answer|md }}{{ i.marks }}{% endfor %}\n\n\n{{ faq|footnotes }}"
    )
    text = await write(bench, template, Part(port="data", name="faq.cited", text=json.dumps(CITED)))
    assert text == "Yes, \\*very\\*.[^1]\n\n[^1]: “44 dB” — s.md, p. 1"


async def test_json_output_is_checked_and_sorted(bench: Bench) -> None:
    text = await write(bench, '{"b": {{ 1 }}, "a": 79.00}', media_type="application/json")
    assert text == '{\n  "a": 79.00,\n  "b": 1\n}\n'
    with pytest.raises(EngineFailed, match="not JSON"):
        await write(bench, "{", media_type="application/json")


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("one\n{{ missing }}", "line 2.*'missing' is undefined"),
        ("one\n\n{% if %}", "line 3"),
        ("{{ ''.__class__ }}", "line 1.*unsafe"),
        ("{{ ''['__class__'] }}", "line 1.*unsafe"),
        ("{{ data.append(1) }}", "line 1"),
        ("{{ 'x' * 1000000000 }}", "works on numbers"),
        ("{{ '%1000000000d' % 1 }}", "works on numbers"),
        ("{{ (9 ** 9 ** 9) ** 9 }}", "too large"),
        ("{% set a = 'xxxxxxxx' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}", "grows beyond"),
        ("{% set a = 'xxxxxxxx' %}" + "{% set a = a + a %}" * 40 + "{{ a }}", "grows beyond"),
        ("{% for i in range(99999) %}{{ i }} text {% endfor %}", "longer than"),
        ("{% include 'x' %}", "line 1"),
        ("  \n", "wrote nothing"),
        ("{{ 'abc'|number }}", "not a number"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "line 1"),
    ],
)
async def test_mistakes_and_mischief_name_the_line(bench: Bench, template: str, word: str) -> None:
    with pytest.raises(EngineFailed, match=word):
        await write(bench, template)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60))
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    line = " ".join(text.split())
    tokens = MarkdownIt("commonmark", {"html": True}).parse(markdown(line))
    shown = "".join(
        child.content
        for token in tokens
        for child in token.children or []
        if child.type in {"text", "text_special"}
    )
    assert [token.type for token in tokens] == (
        ["paragraph_open", "inline", "paragraph_close"] if line else []
    )
    assert shown == line


async def test_rows_become_a_markdown_table(bench: Bench, store_file: Any) -> None:
    document = {
        "columns": [{"name": "model", "type": "text"}, {"name": "price_eur", "type": "number"}],
        "rows": [["A|B", 79.5], ["C", None]],
    }
    table = Part(
        port="data", name="table.rows", artifact=store_file(json.dumps(document), "application/json")
    )
    assert await write(bench, "{{ table|markdown_table }}", table) == (
        "| Model | Price (EUR) |\n| --- | ---: |\n| A\\|B | 79.5 |\n| C |  |"
    )
    text = await write(
        bench, "{{ table|markdown_table({'price_eur': 'Prix'}, ['price_eur']) }}", table, language="fr"
    )
    assert text == "| Prix |\n| ---: |\n| 79,5 |\n|  |"


async def test_a_stop_ends_loops_that_write_nothing(bench: Bench) -> None:
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}"
    threading.Timer(0.2, bench.cancelled.set).start()
    with pytest.raises(Cancelled):
        await write(bench, loops)


async def test_loops_know_where_they_are(bench: Bench) -> None:
    template = "{% for n in [3, 4] %}{{ loop.index }}/{{ loop.length }}:{{ n }}{{ ';' if not loop.last }}{% else %}none{% endfor %}"
    assert await write(bench, template) == "1/2:3;2/2:4"
    assert await write(bench, template.replace("[3, 4]", "[]")) == "none"
