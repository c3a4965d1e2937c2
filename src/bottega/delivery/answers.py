"""Answers as pages: `index.html` with every sentence's citations, and each cited document with the quoted words marked."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup, escape

from bottega.core.canonical import canonical_json, digest_bytes
from bottega.core.errors import StorageFailed
from bottega.core.passage import Passage
from bottega.delivery.manifest import MANIFEST
from bottega.delivery.page import framed
from bottega.delivery.replace import discard, place, prepare
from bottega.retrieval.answers.answer import Answer, Citation


@dataclass(frozen=True)
class Block:
    """A piece of a document page: a heading, a paragraph, where a page of the document begins, or the address of its picture."""

    kind: str
    html: Markup


def write_answers(
    out: Path,
    answers: Sequence[Answer],
    documents: Mapping[tuple[str, str], Sequence[Passage]],
    pictures: Mapping[tuple[str, str, int], bytes] | None = None,
    *,
    title: str,
) -> None:
    """Write `index.html`, `answers.json` and `documents/*.html` into ``out``; the folder appears whole or not at all.

    ``documents`` are the passages of every cited document in their order, by its name and digest, ``pictures`` PNG of pages on which the
    quotes are marked (`bottega.delivery.pages`). The pages load nothing and run no script.

    Raises:
        StorageFailed: the folder cannot be written, or holds something else.
    """
    files = {key: f"documents/{n:02d}-{_slug(key[0])}.html" for n, key in enumerate(sorted(documents), 1)}
    pages: dict[str, bytes] = {}

    def link(citation: Citation) -> str:
        return f"{quote(files[citation.source, citation.sha256])}#{anchor(citation)}"

    numbered = [(number, answer, _quotes(answer)) for number, answer in enumerate(answers, 1)]
    pages["index.html"] = framed("answers.html.j2", title=title, answers=numbered, link=link)
    cited = [c for answer in answers for each in answer.sentences for c in each.citations]
    for key, file in files.items():
        spans = {(c.start, c.end): anchor(c) for c in cited if (c.source, c.sha256) == key}
        seen = {page: data for (*of, page), data in (pictures or {}).items() if tuple(of) == key}
        pages[file] = framed("document.html.j2", title=key[0], blocks=blocks(documents[key], spans, seen))
    pages["answers.json"] = (
        json.dumps([answer.document() for answer in answers], ensure_ascii=False, indent=2) + "\n"
    ).encode()
    _write(out, pages)


def anchor(citation: Citation) -> str:
    """The id of the marked words in their document's page."""
    return f"c{citation.start}-{citation.end}"


def blocks(
    passages: Sequence[Passage],
    spans: Mapping[tuple[int, int], str],
    pictures: Mapping[int, bytes] | None = None,
) -> list[Block]:
    """The text of a document with each span marked; every character between the marks is the document's own.

    A page of which there is a picture begins with it.
    """
    paged = len({passage.page for passage in passages}) > 1
    found: list[Block] = []
    page = 0
    for passage in passages:
        if passage.page != page:
            page = passage.page
            if paged:
                found.append(Block("page", Markup(escape(f"page {page}"))))
            if pictures and page in pictures:
                data = base64.b64encode(pictures[page]).decode()
                found.append(Block("picture", Markup(f"data:image/png;base64,{data}")))
        titles = passage.heading.split(" > ")
        for match in re.finditer(r"\S[^\n]*", passage.text):
            start, end = passage.start + match.start(), passage.start + match.end()
            kind = "heading" if match[0] in titles else "paragraph"
            found.append(Block(kind, marked(match[0], start, end, spans)))
    return found


def marked(text: str, start: int, end: int, spans: Mapping[tuple[int, int], str]) -> Markup:
    """One line of a document, which stands at these characters, with its share of each span marked.

    Where spans overlap or lie in each other, a mark begins wherever one of them does, and carries its id there.
    """
    here = [(max(left, start), min(right, end), left, name) for (left, right), name in sorted(spans.items())]
    here = [span for span in here if span[0] < span[1]]
    cuts = sorted({start, end, *(cut for first, last, *_ in here for cut in (first, last))})
    out: list[Markup | str] = []
    for at, until in pairwise(cuts):
        piece = escape(text[at - start : until - start])
        if any(first <= at < last for first, last, *_ in here):
            ids = [name for first, _, left, name in here if first == at == left] or [""]
            for name in ids:
                piece = Markup("<mark{}>{}</mark>").format(
                    Markup(' id="{}"').format(name) if name else "", piece
                )
        out.append(piece)
    return Markup("").join(out)


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    """A manifest stands with the files, so that the next call may replace the folder and nothing else."""
    listed = [
        {"path": name, "sha256": digest_bytes(data), "size": len(data)}
        for name, data in sorted(files.items())
    ]
    manifest = {"format": "bottega.delivery/1", "artifacts": [], "support": listed}
    try:
        staging = prepare(out)
        try:
            for name, data in {**files, MANIFEST: canonical_json(manifest)}.items():
                path = staging / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)
            place(staging, out)
        finally:
            discard(staging)
    except OSError as error:
        raise StorageFailed(
            f"the pages cannot be written: {error.strerror or error}",
            where=str(out),
            remedy="choose another --out",
        ) from error


def _quotes(answer: Answer) -> list[Citation]:
    return list(dict.fromkeys(c for each in answer.sentences for c in each.citations))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "document"
