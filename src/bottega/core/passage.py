"""A piece of a source document with the place it stands at."""

from pydantic import Field

from bottega.core.value import Value

Box = tuple[int, int, int, int]
"""Left, top, right, bottom of a place on a page, in points from the page's upper left corner."""


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
