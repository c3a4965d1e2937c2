"""Markdown as a tree that both writers walk: CommonMark, tables, strikethrough and footnotes; raw HTML is text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from bottega.core.errors import EngineFailed
from bottega.engines.markdown_table import UNITS

MAX_CHARS = 400_000

_DEFINITION = re.compile(r"^\[\^([\w.-]{1,40})\]:[ \t]+(\S.*)$")
_REFERENCE = re.compile(r"\[\^([\w.-]{1,40})\]")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_UNIT = re.compile(rf"(?<=\d) (?=(?:{'|'.join(map(re.escape, UNITS.values()))}|€|°F|ct)(?![\w/]))")


def unbroken(text: str) -> str:
    """The text with a space that does not break between a number and its unit."""
    return _UNIT.sub("\u00a0", text)


@dataclass(frozen=True)
class Card:
    """A third-level heading with what stands under it: one feature among its neighbours."""

    title: SyntaxTreeNode
    body: tuple[SyntaxTreeNode, ...]


@dataclass(frozen=True)
class Cards:
    """Two or more third-level sections in a row."""

    items: tuple[Card, ...]


Block = SyntaxTreeNode | Cards


@dataclass(frozen=True)
class Markup:
    """A document's blocks in order. ``title`` is its first-level heading, ``subtitle`` a bold line right under it."""

    title: SyntaxTreeNode | None
    subtitle: SyntaxTreeNode | None
    blocks: tuple[Block, ...]
    footnotes: dict[str, SyntaxTreeNode] = field(default_factory=dict[str, SyntaxTreeNode])

    @property
    def has_table(self) -> bool:
        """Whether a table stands among the blocks."""
        return any(isinstance(block, SyntaxTreeNode) and block.type == "table" for block in self.blocks)

    def images(self) -> Iterator[str]:
        """The targets of all pictures in the text."""
        for block in self.blocks:
            nodes = (
                [block]
                if isinstance(block, SyntaxTreeNode)
                else [n for card in block.items for n in card.body]
            )
            for node in nodes:
                for inner in node.walk():
                    if inner.type == "image":
                        yield str(inner.attrs.get("src", ""))


def parser() -> MarkdownIt:
    """The one Markdown dialect of the project's documents."""
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def parse(text: str) -> Markup:
    """Read Markdown.

    Raises:
        EngineFailed: no text, or more than `MAX_CHARS` characters.
    """
    if not text.strip():
        raise EngineFailed("the text is empty", where="text", remedy="send Markdown")
    if len(text) > MAX_CHARS:
        raise EngineFailed(f"the text has more than {MAX_CHARS} characters", where="text", remedy="send less")
    body, notes = _without_definitions(text)
    markdown = parser()
    footnotes = {label: _tree(markdown.parse(note), set()) for label, note in notes.items()}
    nodes = list(_tree(markdown.parse(body), set(footnotes)).children)
    title = nodes.pop(0) if nodes and nodes[0].type == "heading" and nodes[0].tag == "h1" else None
    subtitle = _bold_line(nodes[0]) if title and nodes else None
    if subtitle:
        nodes.pop(0)
    return Markup(title, subtitle, tuple(_with_cards(nodes)), footnotes)


def plain(node: SyntaxTreeNode) -> str:
    """The words of a node."""
    words = (inner.content for inner in node.walk() if inner.type in {"text", "code_inline", "text_special"})
    return " ".join("".join(words).split())


def level(node: SyntaxTreeNode) -> int:
    """1 for ``h1``."""
    return int(node.tag[1:])


def _without_definitions(text: str) -> tuple[str, dict[str, str]]:
    """Take the lines ``[^1]: note`` out of the text, except inside fenced code."""
    notes: dict[str, str] = {}
    kept: list[str] = []
    fenced = ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if fence and fenced in ("", fence[1]):
            fenced = "" if fenced else fence[1]
        found = None if fenced else _DEFINITION.match(line)
        if found and found[1] not in notes:
            notes[found[1]] = found[2]
        else:
            kept.append(line)
    return "\n".join(kept), notes


def _tree(tokens: Sequence[Token], labels: set[str]) -> SyntaxTreeNode:
    for token in tokens:
        if token.type == "inline" and token.children:
            token.children = [piece for child in token.children for piece in _references(child, labels)]
    return SyntaxTreeNode(tokens)


def _references(token: Token, labels: set[str]) -> Iterator[Token]:
    """Split a text token at its references to known footnotes."""
    if token.type != "text":
        yield token
        return
    start = 0
    for found in _REFERENCE.finditer(token.content):
        if found[1] in labels:
            yield Token("text", "", 0, content=token.content[start : found.start()])
            yield Token("footnote_ref", "", 0, content=found[1])
            start = found.end()
    yield Token("text", "", 0, content=token.content[start:])


def _bold_line(node: SyntaxTreeNode) -> SyntaxTreeNode | None:
    """The one bold or slanted run that a paragraph consists of."""
    if node.type != "paragraph" or not node.children:
        return None
    inner = [child for child in node.children[0].children if child.type != "text" or child.content.strip()]
    return inner[0] if len(inner) == 1 and inner[0].type in {"strong", "em"} else None


def _with_cards(nodes: Sequence[SyntaxTreeNode]) -> Iterator[Block]:
    """Gather runs of third-level sections of plain text into `Cards`."""
    run: list[Card] = []
    index = 0
    while index < len(nodes):
        end = index + 1
        if nodes[index].type == "heading" and nodes[index].tag == "h3":
            while end < len(nodes) and nodes[end].type in {"paragraph", "bullet_list"}:
                end += 1
            if end > index + 1:
                run.append(Card(nodes[index], tuple(nodes[index + 1 : end])))
                index = end
                continue
        yield from _flushed(run)
        run = []
        yield nodes[index]
        index += 1
    yield from _flushed(run)


def _flushed(run: Sequence[Card]) -> Iterator[Block]:
    if len(run) >= 2:
        yield Cards(tuple(run))
    else:
        for card in run:
            yield card.title
            yield from card.body
