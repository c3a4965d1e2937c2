"""Plain text: paragraphs are separated by empty lines."""

import re

from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.reading import Pages, Reading

_BETWEEN = re.compile(r"\n[ \t]*\n+")


def read(reading: Reading) -> Pages:
    """One page; a form feed in the text begins another."""
    text = reading.text().replace("\r\n", "\n").replace("\r", "\n")
    pages = text.split("\f")
    if len(pages) > reading.limits.pages:
        pages = [text.replace("\f", "\n\n")]
    return [[Block(paragraph) for paragraph in _BETWEEN.split(page)] for page in pages]
