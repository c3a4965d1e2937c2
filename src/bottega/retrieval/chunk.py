"""From the blocks of a converted page to its text and its passages."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bottega.core.passage import Box, Passage, PrintedLine
from bottega.retrieval.document import PAGE_BREAK, Document, PageText
from bottega.retrieval.sentences import sentence_spans

FEWEST = 80  # words: a passage this long is finished at the next block
MOST = 160  # words: no passage of paragraphs is longer
MOST_ROW = 400  # words: a table row longer than this is cut all the same
TINY = 25  # words: a section shorter than this shares a passage with the next

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ufffe\uffff\ud800-\udfff]")
_WIDE = 12  # characters that count as one word where no spaces are written


@dataclass(frozen=True)
class Block:
    """A heading, a paragraph or one table row. ``level`` is the depth of a heading, the title is least.

    ``box`` is where it stands on its page, where the format tells, and ``lines`` are its printed lines, in characters of
    ``text``, which must be clean then.
    """

    text: str
    kind: Literal["heading", "paragraph", "row"] = "paragraph"
    level: int = 0
    box: Box | None = None
    lines: tuple[PrintedLine, ...] = ()


@dataclass(frozen=True)
class _Piece:
    start: int
    end: int
    words: int
    block: Block


class Composer:
    """Takes the pages of one document one after the other; offsets, numbers and the heading path go on across pages."""

    def __init__(self, name: str, sha256: str) -> None:
        self.name = name
        self.sha256 = sha256
        self._path: list[tuple[int, str]] = []
        self._made = 0  # passages
        self._pages = 0
        self._offset = 0  # characters

    def page(self, blocks: Sequence[Block]) -> tuple[PageText, list[Passage]]:
        """The text of the next page and its passages."""
        text, pieces = _lay_out(blocks)
        self._pages += 1
        passages = [self._passage(text, held, heading) for held, heading in self._cut(pieces)]
        self._offset += len(text) + len(PAGE_BREAK)
        return PageText(number=self._pages, text=text), passages

    def _cut(self, pieces: Sequence[_Piece]) -> Iterator[tuple[list[_Piece], str]]:
        """The pieces of each passage and the heading over it."""
        held: list[_Piece] = []
        heading = self._heading()
        has_body = False
        for piece in pieces:
            is_heading = piece.block.kind == "heading"
            words = sum(one.words for one in held)
            full = words + piece.words > MOST or words >= FEWEST or (is_heading and words >= TINY)
            if has_body and full:
                kept = [held.pop()] if _asks(held, piece) else []  # a question stays with its answer
                yield held, heading
                held, has_body, heading = kept, bool(kept), self._heading()
            held.append(piece)
            if is_heading:
                self._enter(piece.block)
                heading = heading if has_body and heading else self._heading()
            else:
                has_body = True
        if held:
            yield held, heading

    def _enter(self, block: Block) -> None:
        self._path = [(level, title) for level, title in self._path if level < block.level]
        self._path.append((block.level, " ".join(block.text.split())[:120]))

    def _heading(self) -> str:
        return " > ".join(title for _, title in self._path)

    def _passage(self, text: str, held: Sequence[_Piece], heading: str) -> Passage:
        start, end = held[0].start, held[-1].end
        self._made += 1
        return Passage(
            id=f"{self.name}#{self._made}",
            source=self.name,
            sha256=self.sha256,
            page=self._pages,
            start=self._offset + start,
            end=self._offset + end,
            heading=heading,
            text=text[start:end],
            boxes=tuple(dict.fromkeys(one.block.box for one in held if one.block.box)),
            lines=tuple(
                (self._offset + line[0], self._offset + line[1], *line[2:])
                for one in held
                for line in one.block.lines
            ),
        )


def _asks(held: Sequence[_Piece], following: _Piece) -> bool:
    last = held[-1].block
    return (
        len(held) > 1
        and last.kind == following.block.kind == "paragraph"
        and last.text.endswith("?")
        and held[-1].words <= TINY
        and held[-2].block.kind == "paragraph"
    )


def compose(
    name: str, sha256: str, media_type: str, pages: Sequence[Sequence[Block]], notes: Sequence[str] = ()
) -> Document:
    """Lay blocks out as page texts and cut them into passages of about 80 to 160 words.

    Passages follow the structure: they begin at headings, keep paragraphs and table rows whole where these fit,
    and never cross a page.
    """
    composer = Composer(name, sha256)
    made = [composer.page(blocks) for blocks in pages]
    return Document(
        name=name,
        sha256=sha256,
        media_type=media_type,
        pages=tuple(page for page, _ in made),
        passages=tuple(passage for _, passages in made for passage in passages),
        notes=tuple(notes),
    )


def clean(text: str) -> str:
    """NFC, without control and invisible characters, with tabs as spaces and no space around lines."""
    text = _CONTROLS.sub("", unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")))
    return "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()


def _lay_out(blocks: Sequence[Block]) -> tuple[str, list[_Piece]]:
    out: list[str] = []
    pieces: list[_Piece] = []
    offset = 0
    before: Block | None = None
    for block in blocks:
        text = clean(block.text)
        if not text:
            continue
        if before is not None:
            gap = "\n" if before.kind == block.kind == "row" else "\n\n"
            out.append(gap)
            offset += len(gap)
        most = MOST_ROW if block.kind == "row" else MOST
        for start, end, words in _cut(text, most):
            lines = _within(text, block.lines, start, end, offset) if text == block.text else ()
            piece = Block(text, block.kind, block.level, block.box, lines)
            pieces.append(_Piece(offset + start, offset + end, words, piece))
        out.append(text)
        offset += len(text)
        before = block
    return "".join(out), pieces


def _within(
    text: str, lines: Sequence[PrintedLine], start: int, end: int, offset: int
) -> tuple[PrintedLine, ...]:
    """The share of printed lines that lies between two characters of a block, which begins at ``offset``."""
    found: list[PrintedLine] = []
    for first, last, top, bottom, edges in lines:
        low, high = max(first, start), min(last, end)
        if low < high:
            before, mine = len(text[first:low].split()), len(text[low:high].split())
            each = len(edges) == 2 * len(text[first:last].split())
            kept = edges[2 * before : 2 * (before + mine)] if each else edges
            found.append((offset + low, offset + high, top, bottom, kept))
    return tuple(found)


def count_words(text: str) -> int:
    """Words as separated by spaces; where hardly any are written, one for every twelve characters."""
    return max(len(text.split()), len(text) // _WIDE)


def _cut(text: str, most: int) -> Iterator[tuple[int, int, int]]:
    """Spans of at most ``most`` words that cover ``text``: whole, else by sentences, else by words."""
    words = count_words(text)
    if words <= most:
        yield 0, len(text), words
        return
    start, end, held = 0, 0, 0
    for left, right in _atoms(text, most):
        words = count_words(text[left:right])
        if held and held + words > most:
            yield start, end, held
            start, held = left, 0
        end, held = right, held + words
    if held:
        yield start, end, held


def _atoms(text: str, most: int) -> Iterator[tuple[int, int]]:
    for left, right in sentence_spans(text):
        if count_words(text[left:right]) <= most:
            yield left, right
            continue
        for word in re.finditer(r"\S{1,240}", text[left:right]):
            yield left + word.start(), left + word.end()
