"""Markdown (CommonMark with tables) as readable text without its marks."""

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.html import html_blocks
from bottega.retrieval.convert.reading import Pages, Reading, table_blocks

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


def read(reading: Reading) -> Pages:
    """Headings, paragraphs, list items, code and table rows, in order, on one page."""
    text = reading.text().replace("\r\n", "\n")
    blocks: list[Block] = []
    front = _FRONT_MATTER.match(text)
    if front:
        blocks.append(Block(front.group(1)))
        text = text[front.end() :]
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return [[*blocks, *_blocks(tokens)]]


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    level = 0
    rows: list[list[str]] | None = None
    for token in tokens:
        match token.type:
            case "heading_open":
                level = int(token.tag[1])
            case "heading_close":
                level = 0
            case "table_open":
                rows = []
            case "tr_open" if rows is not None:
                rows.append([])
            case "table_close" if rows is not None:
                yield from table_blocks(rows)
                rows = None
            case "inline":
                text = _inline(token.children or ())
                if rows is not None:
                    rows[-1].append(text)
                else:
                    yield Block(text, "heading", level) if level else Block(text)
            case "fence" | "code_block":
                yield Block(token.content)
            case "html_block":
                yield from html_blocks(token.content)
            case _:
                pass


def _inline(children: Sequence[Token]) -> str:
    out: list[str] = []
    for child in children:
        match child.type:
            case "text" | "code_inline":
                out.append(child.content)
            case "softbreak":
                out.append(" ")
            case "hardbreak":
                out.append("\n")
            case "image":
                out.append(_inline(child.children or ()))
            case "html_inline" if child.content.lower().startswith("<br"):
                out.append("\n")
            case _:
                pass
    return "".join(out)
