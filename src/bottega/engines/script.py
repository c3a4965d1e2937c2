"""A script to be read aloud: Markdown or plain text becomes paragraphs of plain sentences."""

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’»)]*\s+(?=[\"'“‘«¿¡(]?\s?[A-ZÀ-ÖØ-Þ0-9])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|Prof|St|vs|approx|No|Fig|Inc|Ltd|Co|e\.g|i\.e|p\. ex|env|M|Mme)\.$"
    r"|(?:^|[^\d\s] |\()[A-Z]\.$"  # an initial, but not a unit: "1.7 L."
)


def sentences(script: str) -> list[tuple[int, str]]:
    """Split into ``(paragraph, sentence)``: paragraphs count from 0, sentences keep their written form.

    Headings, paragraphs, list items and table cells each are a paragraph; markup, code blocks and HTML are left out.
    """
    found: list[tuple[int, str]] = []
    for paragraph, text in enumerate(_paragraphs(script)):
        found.extend((paragraph, sentence) for sentence in _split(text))
    return found


def _paragraphs(script: str) -> Iterator[str]:
    parser = MarkdownIt("commonmark").enable("table").disable("code")
    for token in parser.parse(script):
        if token.type == "inline":
            text = re.sub(r"\s+", " ", "".join(_plain(child) for child in token.children or ())).strip()
            if re.search(r"\w", text):
                yield text


def _plain(token: Token) -> str:
    if token.type in ("text", "code_inline", "text_special"):
        return token.content
    if token.type in ("softbreak", "hardbreak"):
        return " "
    return token.content if token.type == "image" else ""  # an image speaks its description


def _split(text: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(text):
        head = text[start : end.end()].strip()
        if _ABBREVIATION.search(text[start : end.start()]):
            continue
        yield head
        start = end.end()
    if tail := text[start:].strip():
        yield tail
