"""What a format's reader gets: the bytes, the limits, and the two ways out to other engines."""

import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bottega.core.artifact import Artifact
from bottega.core.errors import UnreadableSource
from bottega.core.request import Finished, Request
from bottega.retrieval.chunk import Block

Ask = Callable[[Request], Awaitable[Sequence[Finished]]]
Store = Callable[[bytes, str], Artifact]
Pages = list[list[Block]]


@dataclass(frozen=True)
class Limits:
    """How much of a source is read before it is refused."""

    file_bytes: int = 200_000_000
    characters: int = 10_000_000  # of text in one document
    pages: int = 1_000
    ocr_pages: int = 60  # pages without text that are sent to character recognition
    pixels: int = 60_000_000  # of one picture
    archive_members: int = 5_000
    archive_bytes: int = 400_000_000  # expanded, all members of one DOCX or XLSX
    archive_ratio: int = 150  # expanded to packed, once more than 10 MB are expanded


@dataclass(frozen=True)
class Reading:
    """One source file being read. Readers add to ``notes`` what a person should know."""

    name: str
    where: str
    media_type: str
    data: bytes
    sha256: str
    limits: Limits
    ask: Ask | None = None
    store: Store | None = None
    notes: list[str] = field(default_factory=list[str])

    def refuse(self, message: str, remedy: str) -> UnreadableSource:
        """The error to raise, with the file's name in its place."""
        return UnreadableSource(message, remedy=remedy, where=self.where)

    def text(self) -> str:
        """The bytes as text: UTF-8, UTF-16 with a byte order mark, else Windows-1252 with a note.

        Raises:
            UnreadableSource: when it is none of these, or longer than the limit.
        """
        text = self._decoded()
        if len(text) > self.limits.characters:
            raise self.refuse(
                f"{len(text):,} characters of text; the limit is {self.limits.characters:,}",
                "split the file, or give only the part that matters",
            )
        return text

    def _decoded(self) -> str:
        try:
            if self.data.startswith((b"\xff\xfe", b"\xfe\xff")):
                return self.data.decode("utf-16")
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
        try:
            text = self.data.decode("cp1252")
        except UnicodeDecodeError as error:
            raise self.refuse(
                f"the text is neither UTF-8 nor Windows-1252 (byte {error.start})", "save it as UTF-8"
            ) from error
        self.notes.append("not UTF-8; read as Windows-1252")
        return text


def row_text(header: Sequence[str], cells: Sequence[str]) -> str:
    """One table row as ``col: value; ...``; empty cells are left out, cells beyond the header stand alone."""
    said: list[str] = []
    for index, cell in enumerate(cells):
        value = " ".join(cell.split())
        if not value:
            continue
        column = " ".join(header[index].split()) if index < len(header) else ""
        said.append(f"{column}: {value}" if column else value)
    return "; ".join(said)


def table_blocks(rows: Sequence[Sequence[str]]) -> list[Block]:
    """The rows of a table inside a document; the first row names the columns.

    A table of two columns reads as ``name: value`` lines, a table of one row as it stands.
    """
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return []
    if len(rows) == 1 or max(len(row) for row in rows) == 1:
        return [Block(" ".join(cell for cell in row if cell.strip()), "row") for row in rows]
    if max(len(row) for row in rows) == 2:
        return [Block(": ".join(cell for cell in row if cell.strip()), "row") for row in rows]
    return [Block(row_text(rows[0], row), "row") for row in rows[1:]]


def split_fields(text: str, delimiter: str) -> list[list[str]]:
    """All rows of a delimited text.

    Raises:
        csv.Error: for a field beyond the csv module's limit or an unfinished quoted field.
    """
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
