"""HTML as text: what a browser would show, without scripts, styles and hidden parts."""

import re
from html.parser import HTMLParser

from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.reading import Pages, Reading, table_blocks

_NOT_SHOWN = "script style template noscript svg math iframe object select"
_RUNNING = (
    "a abbr b bdi bdo cite code data del dfn em i ins kbd label mark q s samp small span strong sub sup time u "
    "var wbr font img"
)
_EMPTY = "area base br col embed hr img input link meta source track wbr"
_SILENT = frozenset(_NOT_SHOWN.split())
_INLINE = frozenset(_RUNNING.split())
_VOID = frozenset(_EMPTY.split())
_STRAY = re.compile(r"<(?!!?[a-zA-Z][^<>]*>|[/?][^<>]*>)")
_INTERNAL_SUBSET = re.compile(r"<!DOCTYPE[^>\[]{0,2000}\[|<!ENTITY", re.IGNORECASE)


def read(reading: Reading) -> Pages:
    """One page of blocks.

    Raises:
        UnreadableSource: when the document declares entities of its own, which is how entity bombs are made.
    """
    text = reading.text()
    if _INTERNAL_SUBSET.search(text[:100_000]):
        raise reading.refuse("the document declares XML entities", "remove the DOCTYPE's internal subset")
    return [html_blocks(text)]


def html_blocks(text: str) -> list[Block]:
    """The visible blocks of an HTML text or fragment."""
    parser = _Reader()
    parser.feed(_tame(text))
    parser.close()
    parser.flush()
    return parser.blocks


def _tame(text: str) -> str:
    """Without comments, scripts and styles, and every ``<`` that begins no tag escaped.

    The standard library's parser takes quadratic time on unfinished markup; after this there is none. All of it
    is linear: a search that once finds no end is not begun again.
    """
    for begin, end in (("<!--", "-->"), ("<script", "</script"), ("<style", "</style")):
        text = _without(text, begin, end)
    return _STRAY.sub("&lt;", text)


def _without(text: str, begin: str, end: str) -> str:
    lower = text.lower() if len(text.lower()) == len(text) else text
    kept: list[str] = []
    place = 0
    while (start := lower.find(begin, place)) >= 0:
        kept.append(text[place:start])
        stop = lower.find(end, start + len(begin))
        if stop < 0:
            return "".join(kept)  # a browser, too, takes the rest for the comment or the script
        close = lower.find(">", stop)
        place = close + 1 if close >= 0 else len(text)
    return "".join([*kept, text[place:]])


class _Reader(HTMLParser):
    """Collects text between block-level tags; keeps a stack only of what hides its content."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._held: list[str] = []
        self._level: int | None = None
        self._hidden: list[str] = []
        self._rows: list[list[str]] | None = None
        self._preformatted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            if tag == self._hidden[-1]:
                self._hidden.append(tag)
            return
        given = dict(attrs)
        hidden = "hidden" in given or "display:none" in (given.get("style") or "").replace(" ", "").lower()
        if (tag in _SILENT or hidden) and tag not in _VOID:
            self._hidden.append(tag)
            return
        if tag == "br":
            self._held.append("\n")
        elif tag == "img":
            self._held.append(f" {given.get('alt') or ''} ")
        elif tag not in _INLINE:
            self._open(tag)

    def _open(self, tag: str) -> None:
        if tag in ("td", "th", "tr") and self._rows is not None:
            self._cell()
            if tag == "tr":
                self._rows.append([])
            return
        if self._rows is None or tag == "table":
            self.flush()
        else:
            self._held.append("\n" if tag in ("p", "li", "div") and self._held else " ")
        if tag == "table":
            self._rows = []
        elif len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
            self._level = int(tag[1])
        elif tag == "title":
            self._level = 0
        elif tag == "pre":
            self._preformatted += 1

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag == self._hidden[-1]:
                self._hidden.pop()
            return
        if tag in _INLINE or tag == "br":
            return
        if self._rows is not None and tag in ("td", "th", "tr"):
            self._cell()
        elif self._rows is None or tag == "table":
            self.flush()
        if tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        if tag == "title" or (len(tag) == 2 and tag[0] == "h" and tag[1] in "123456"):
            self._level = None

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._held.append(data if self._preformatted else re.sub(r"\s+", " ", data))

    def _cell(self) -> None:
        text = "".join(self._held)
        self._held.clear()
        if self._rows is not None and text.strip():
            if not self._rows:
                self._rows.append([])
            self._rows[-1].append(text)

    def flush(self) -> None:
        """Finish the block or the table being read."""
        if self._rows is not None:
            self._cell()
            self.blocks.extend(table_blocks(self._rows))
            self._rows = None
            return
        text = "".join(self._held)
        self._held.clear()
        if text.strip():
            self.blocks.append(Block(text) if self._level is None else Block(text, "heading", self._level))
