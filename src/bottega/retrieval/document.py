"""A converted source: text by page and the passages that cite it, as a file that can be stored."""

import json

from pydantic import Field, ValidationError

from bottega.core.canonical import canonical_json
from bottega.core.errors import UnreadableSource
from bottega.core.passage import Passage
from bottega.core.value import Value

MEDIA_TYPE = "application/vnd.bottega.document+json"
PASSAGES_MEDIA_TYPE = "application/vnd.bottega.passages+json"
PAGE_BREAK = "\f"


class PageText(Value, frozen=True):
    """One page; formats without pages have one."""

    number: int = Field(ge=1)
    text: str


class Document(Value, frozen=True):
    """What a source file says. Every passage is ``text[start:end]`` exactly and stays inside one page."""

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="digest of the source file's bytes")
    media_type: str = Field(description="of the source file, by its bytes")
    pages: tuple[PageText, ...]
    passages: tuple[Passage, ...]
    notes: tuple[str, ...] = Field(default=(), description="what a reader should know about the conversion")

    @property
    def text(self) -> str:
        """All pages, joined by a form feed; the offsets of passages and citations point into it."""
        return PAGE_BREAK.join(page.text for page in self.pages)


def dump(document: Document) -> bytes:
    """Canonical JSON of media type `MEDIA_TYPE`; equal documents give equal bytes."""
    return document.canonical()


def load(data: bytes, *, where: str = "") -> Document:
    """Read a converted document and hold it to its law.

    Raises:
        UnreadableSource: when the bytes are not a converted document, or a passage does not stand where it says.
    """
    remedy = "convert the source file again"
    try:
        document = Document.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "file"
        raise UnreadableSource(
            f"not a converted document: {place}: {first['msg']}", remedy=remedy, where=where
        ) from error
    text = document.text
    for passage in document.passages:
        if text[passage.start : passage.end] != passage.text:
            raise UnreadableSource(
                f"passage {passage.id} does not stand at its place", remedy=remedy, where=where
            )
    return document


def dump_passages(query: str, passages: tuple[Passage, ...]) -> bytes:
    """The file that `search` writes: ``{"query", "passages"}``."""
    return canonical_json({"query": query, "passages": [passage.document() for passage in passages]})


def load_passages(data: bytes, *, where: str = "") -> tuple[Passage, ...]:
    """Read what `dump_passages` wrote.

    Raises:
        UnreadableSource: when the bytes have another shape.
    """
    try:
        found = json.loads(data)["passages"]
        return tuple(Passage.model_validate(passage) for passage in found)
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableSource(
            "not a file of passages", remedy="give the output of a search step", where=where
        ) from error
