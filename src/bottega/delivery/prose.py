"""Markdown for the page: no raw HTML, nothing loaded, headings below the page's own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup, escape

PREVIEW = 900  # characters shown before 'read the full text'


@dataclass(frozen=True)
class Prose:
    """Rendered text: what is shown at once, what unfolds, and the number of words."""

    opening: Markup
    rest: Markup
    words: int


def prose(text: str) -> Prose:
    """Render Markdown and split it between two blocks after about `PREVIEW` characters."""
    parser = _parser()
    tokens = _calm(parser.parse(text))
    cut, seen = len(tokens), 0
    for index, token in enumerate(tokens):
        seen += len(token.content)
        if token.level == 0 and token.nesting != 1 and seen >= PREVIEW:
            cut = index + 1
            break
    return Prose(_render(parser, tokens[:cut]), _render(parser, tokens[cut:]), len(re.findall(r"\w+", text)))


def inline(text: str) -> Markup:
    """A short Markdown text, such as an answer."""
    parser = _parser()
    return _render(parser, _calm(parser.parse(text)))


def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _render(parser: MarkdownIt, tokens: Sequence[Token]) -> Markup:
    renderer = RendererHTML()
    options: OptionsDict = parser.options
    return Markup(renderer.render(tokens, options, {}))


def _calm(tokens: list[Token]) -> list[Token]:
    """Lower headings to h4 and below, turn pictures into their words, keep links from leaking."""
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.attrSet("class", f"h{token.tag[1]}")
            token.tag = f"h{min(6, int(token.tag[1]) + 3)}"
        if token.children:
            token.children = [_picture_words(child) for child in token.children]
            for child in token.children:
                if child.type == "link_open":
                    _tame(child)
    return tokens


def _picture_words(token: Token) -> Token:
    """A picture in a text would be loaded from somewhere: show its description instead."""
    if token.type != "image":
        return token
    return Token("text", "", 0, content=f"[{token.content or 'picture'}]")


def _tame(token: Token) -> None:
    target = str(token.attrGet("href") or "")
    if re.match(r"(https?|mailto):", target, re.IGNORECASE) or target.startswith("#"):
        token.attrSet("rel", "noopener noreferrer nofollow")
        return
    token.attrs.pop("href", None)  # a path of somebody's disk, or an unknown scheme


def highlighted(text: str, spans: Sequence[tuple[int, int]]) -> Markup:
    """``text`` escaped, with the character spans marked; overlapping spans are joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted((max(0, a), min(len(text), b)) for a, b in spans):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    out, at = Markup(""), 0
    for start, end in joined:
        out += escape(text[at:start]) + Markup("<mark>") + escape(text[start:end]) + Markup("</mark>")
        at = end
    return out + escape(text[at:])
