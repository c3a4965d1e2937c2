"""A piece of a source document with the place it stands at."""

import re

from pydantic import Field

from bottega.core.value import Value

Box = tuple[int, int, int, int]
"""Left, top, right, bottom of a place on a page, in points from the page's upper left corner."""


PrintedLine = tuple[int, int, int, int, tuple[int, ...]]
"""First character and one past the last, in the document's text; top and bottom; left and right of each word, or of the whole line."""


class Passage(Value, frozen=True):
    """``text`` is exactly ``document text[start:end]`` of the converted source."""

    id: str = Field(description="stable within a run, for example 'sheet.pdf#3'")
    source: str = Field(description="name of the source file")
    sha256: str = Field(description="digest of the source file's bytes")
    page: int = Field(ge=1)
    start: int = Field(ge=0, description="first character in the document's text")
    end: int = Field(ge=0, description="one past the last character")
    heading: str = ""
    text: str
    boxes: tuple[Box, ...] = Field(
        default=(),
        exclude_if=lambda value: not value,
        description="where it stands on the page of a PDF: one box for each paragraph or table row that it has part of",
    )
    lines: tuple[PrintedLine, ...] = Field(
        default=(),
        exclude_if=lambda value: not value,
        description="as it is printed on that page, line by line",
    )

    def places(self, start: int, end: int) -> tuple[Box, ...]:
        """Where the words between two characters of the document stand on its page: one box for each line, in points."""
        found: list[Box] = []
        for first, last, top, bottom, edges in self.lines:
            low, high = max(first, start, self.start), min(last, end, self.end)
            if low >= high:
                continue
            spans = list(zip(edges[::2], edges[1::2], strict=True))
            words = list(re.finditer(r"\S+", self.text[max(first - self.start, 0) : last - self.start]))
            if len(words) == len(spans) and first >= self.start:
                both = zip(words, spans, strict=True)
                spans = [at for word, at in both if first + word.start() < high and low < first + word.end()]
            if spans:
                lefts, rights = zip(*spans, strict=True)
                found.append((min(lefts), top, max(rights), bottom))
        return tuple(found)
