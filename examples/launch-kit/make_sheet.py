"""Typeset sources/product-sheet.md as sources/product-sheet.pdf: two A4 pages, always the same bytes.

Run it from anywhere: `python examples/launch-kit/make_sheet.py`.
"""

import json
from pathlib import Path
from typing import Any

import typst
from markdown_it import MarkdownIt
from markdown_it.token import Token

SOURCES = Path(__file__).parent / "sources"

STYLE = """
#let pine = rgb("#12403C")
#let copper = rgb("#C46A35")
#set document(title: "Tarnwick product sheet", author: "Tarnwick", date: none)
#set page(paper: "a4", margin: (x: 22mm, top: 19mm, bottom: 16mm), footer: context align(right, text(8pt, pine,
  "Tarnwick, Dundalk · " + counter(page).display("1 / 1", both: true))))
#set text(font: "Libertinus Serif", size: 12.2pt, lang: "en", fill: rgb("#1E2423"), hyphenate: false)
#set par(leading: 0.74em, spacing: 1.1em)
#set list(marker: text(copper, "•"), spacing: 1em)
#show heading.where(level: 1): it => block(below: 17pt, text(21.5pt, pine, weight: 600, it.body))
#show heading.where(level: 2): it => block(above: 25pt, below: 12pt, text(14pt, copper, weight: 700, it.body))
#set table(stroke: (x, y) => (bottom: if y == 0 { 0.9pt + pine } else { 0.4pt + pine.lighten(65%) }),
  inset: (x: 4pt, y: 7pt))
"""


def inline(tokens: list[Token]) -> str:
    """Text and bold type, every word as a Typst string."""
    marks = {"strong_open": "#strong[", "strong_close": "]", "softbreak": " "}
    return "".join(
        f"#{json.dumps(token.content, ensure_ascii=False)};" if token.type == "text" else marks[token.type]
        for token in tokens
    )


def table(rows: list[list[str]]) -> str:
    """A table whose first row is its head and whose first column is words."""
    cells = [", ".join(f"[{cell}]" for cell in row) for row in rows]
    return (
        f"#table(columns: (1fr,) + (auto,) * {len(rows[0]) - 1}, align: (x, y) => if x == 0 {{ left }} else {{ right }},"
        f" table.header({cells[0]}), {', '.join(cells[1:])})"
    )


def typeset(markdown: str) -> str:
    """The sheet in Typst: headings, paragraphs, flat lists and tables are all it holds."""
    out: list[str] = [STYLE]
    rows: list[list[str]] = []
    prefix = ""
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        match token.type:
            case "heading_open":
                prefix = "=" * int(token.tag[1]) + " "
            case "list_item_open":
                prefix = "- "
            case "tr_open":
                rows.append([])
            case "inline" if rows:
                rows[-1].append(inline(token.children or []))
            case "inline":
                out.append(prefix + inline(token.children or []))
                prefix = ""
            case "table_close":
                out.append(table(rows))
                rows = []
            case "paragraph_close" | "heading_close" | "bullet_list_close":
                out.append("")
            case _:
                pass
    return "\n".join(out)


def main() -> None:
    """Write the PDF."""
    source = typeset((SOURCES / "product-sheet.md").read_text(encoding="utf-8"))
    pdf: Any = typst.Compiler(source.encode(), ignore_system_fonts=True).compile(format="pdf", timestamp=0)
    (SOURCES / "product-sheet.pdf").write_bytes(pdf)


if __name__ == "__main__":
    main()
