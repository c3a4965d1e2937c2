"""What of a document is prose: the pieces a translator sees, and how they are put back without touching the rest."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, cast

from markdown_it import MarkdownIt

from bottega.core.errors import EngineFailed

HARD_BREAK = re.compile(r"(?: {2,}|\\)$")
LETTERS = re.compile(r"[^\W\d_]{2,}|^\W*[A-Za-z]\W*$")
ADDRESS = re.compile(r"^\w+://\S+$|^\S+@\S+\.\S+$|^[\w./-]+\.\w{2,4}$")


@dataclass(frozen=True)
class Prose:
    """The translatable pieces of a document, and the function that puts as many new ones in their places."""

    pieces: list[str]
    put: Callable[[list[str]], str]


def prose_of(document: str, media_type: str, keys: Collection[str], skip: Collection[str]) -> Prose:
    """The prose of Markdown, JSON or plain text.

    Raises:
        EngineFailed: when a JSON document is not JSON.
    """
    if media_type == "application/json":
        try:
            value: object = json.loads(document)
        except ValueError as error:
            raise EngineFailed("the input is not JSON", where="text") from error
        found = list(json_strings(value, keys, skip))
        return Prose(
            found,
            lambda said: json.dumps(put_json(value, iter(said), keys, skip), ensure_ascii=False),
        )
    if media_type == "text/plain":
        lines = document.split("\n")
        places = [index for index, line in enumerate(lines) if translatable(line)]

        def put_lines(said: list[str]) -> str:
            new = dict(zip(places, said, strict=True))
            return "\n".join(
                line.replace(line.strip(), new[index]) if index in new else line
                for index, line in enumerate(lines)
            )

        return Prose([lines[index].strip() for index in places], put_lines)
    pieces = markdown_pieces(document)
    return Prose([piece.text for piece in pieces], lambda said: put_markdown(document, pieces, said))


@dataclass(frozen=True)
class Piece:
    """Prose on the lines ``first`` to ``last`` of a document, from character ``start`` of the first one."""

    first: int
    last: int
    start: int
    end: int  # one past the last character, on line ``last``
    text: str


def markdown_pieces(text: str) -> list[Piece]:
    """Every heading, paragraph, list item and table cell; code, HTML blocks and rules are no prose."""
    lines = text.split("\n")
    pieces: list[Piece] = []
    at: tuple[int, int] = (0, 0)  # cells of one row stand on one line: where the last piece ended
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        if token.type != "inline" or token.map is None or not token.content:
            continue
        line, limit = token.map
        run: list[tuple[int, int, int]] = []  # line, start, end
        for content in token.content.split("\n"):
            found, written = -1, content
            while line < limit and found < 0:
                start = at[1] if at[0] == line else 0
                written = content if content in lines[line][start:] else content.replace("|", "\\|")
                found = lines[line].find(written, start)
                line += found < 0
            if found < 0:
                break  # not as it is written, an entity or the like: better untranslated than damaged
            at = (line, found + len(written))
            run.append((line, found, at[1]))
            if HARD_BREAK.search(lines[line][found:]):
                pieces.append(_piece(run, lines))
                run = []
            line += 1
        if run:
            pieces.append(_piece(run, lines))
    return [piece for piece in pieces if re.search(r"\w", piece.text)]


def _piece(run: list[tuple[int, int, int]], lines: list[str]) -> Piece:
    text = " ".join(lines[line][start:end].rstrip(" \\") for line, start, end in run)
    line, start, end = run[-1]
    return Piece(run[0][0], line, run[0][1], start + len(lines[line][start:end].rstrip(" \\")), text)


def put_markdown(text: str, pieces: list[Piece], said: list[str]) -> str:
    """The document with each piece in its new words; a paragraph of several lines becomes one line."""
    lines = text.split("\n")
    for piece, words in sorted(
        zip(pieces, said, strict=True), key=lambda pair: (-pair[0].first, -pair[0].start)
    ):
        tail = lines[piece.last][piece.end :]
        lines[piece.first : piece.last + 1] = [lines[piece.first][: piece.start] + words + tail]
    return "\n".join(lines)


def json_strings(
    value: object, keys: Collection[str], skip: Collection[str], key: str = "", chosen: bool = False
) -> Iterator[str]:
    """The strings to translate, in order: under ``keys``, or all when there are none; never under ``skip``."""
    if key in skip:
        return
    chosen = chosen or not keys or key in keys
    match value:
        case str():
            if chosen and translatable(value):
                yield value
        case dict():
            for name, child in cast(dict[str, Any], value).items():
                yield from json_strings(child, keys, skip, name, chosen)
        case list():
            for child in cast(list[Any], value):
                yield from json_strings(child, keys, skip, "", chosen)
        case _:
            return


def put_json(
    value: object,
    said: Iterator[str],
    keys: Collection[str],
    skip: Collection[str],
    key: str = "",
    chosen: bool = False,
) -> object:
    """A copy with each string of `json_strings` in its new words."""
    if key in skip:
        return value
    chosen = chosen or not keys or key in keys
    match value:
        case str():
            return next(said) if chosen and translatable(value) else value
        case dict():
            named = cast(dict[str, Any], value)
            return {name: put_json(child, said, keys, skip, name, chosen) for name, child in named.items()}
        case list():
            return [put_json(child, said, keys, skip, "", chosen) for child in cast(list[Any], value)]
        case _:
            return value


def translatable(text: str) -> bool:
    """Whether there are words in it: not a number, an address or a file name."""
    return bool(LETTERS.search(text)) and not ADDRESS.match(text.strip())
