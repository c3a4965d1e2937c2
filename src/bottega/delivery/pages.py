"""Pages of cited documents as pictures, with the quoted words marked where they are printed."""

import io
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.core.errors import BottegaError, ExtraMissing
from bottega.core.passage import Box
from bottega.core.plan import SourceRef
from bottega.delivery.citations import Cited
from bottega.delivery.pictures import data_uri
from bottega.engines.base import require
from bottega.engines.pdfium import pdfium
from bottega.retrieval.answers.answer import Answer

POINTS = 72  # in an inch
DPI = 110
WIDEST = 1100  # pixels of a page
LARGEST = 4_000_000  # pixels of a page
MOST = 60  # pages
FEW = 12  # pages, where other things matter more
COLOURS = 64
MARKER = (255, 226, 84)  # what is printed shines through it

Key = tuple[str, str]
"""A document's name and digest."""


def pictures(answers: Iterable[Answer], files: Mapping[Key, Path]) -> dict[tuple[str, str, int], bytes]:
    """PNG of each page that answers cite with places, by its document and number, the first ones of very many.

    ``files`` are the documents where they were read; one that is not there any more, or has changed, has no pictures.
    """
    marked: dict[tuple[str, str, int], list[Box]] = {}
    for answer in answers:
        for cited in (each for sentence in answer.sentences for each in sentence.citations):
            if cited.boxes and (cited.source, cited.sha256) in files:
                marked.setdefault((cited.source, cited.sha256, cited.page), []).extend(cited.boxes)
    found: dict[tuple[str, str, int], bytes] = {}
    held: tuple[Key, bytes] = ("", ""), b""
    for (name, sha256, page), boxes in sorted(marked.items())[:MOST]:
        if held[0] != (name, sha256):
            held = (name, sha256), _bytes(files[name, sha256], sha256)
        if held[1] and (made := drawn(held[1], page, boxes)):
            found[name, sha256, page] = made
    return found


def printed(
    cited: Iterable[Cited], sources: Iterable[SourceRef], locate: Callable[[Artifact], Path]
) -> dict[str, str]:
    """Data URI of the page of each cited passage, by the passage's id, the first ones of very many; sources that are gone have none."""
    found: dict[str, str] = {}
    known = {(each.name, each.sha256): each for each in sources}
    for each in cited:
        source = known.get((each.source, each.sha256))
        if source is None or not each.boxes or len(found) == FEW:
            continue
        artifact = Artifact(sha256=source.sha256, media_type=source.media_type, size=source.size)
        with suppress(BottegaError, OSError):
            if made := drawn(locate(artifact).read_bytes(), each.page, each.boxes):
                found[each.id] = data_uri(made, "image/png")
    return found


def drawn(data: bytes, page: int, boxes: Iterable[Box]) -> bytes | None:
    """A page of a PDF, or a picture, as PNG with these places marked; None where it cannot be shown here."""
    try:
        picture, scale = _pdf(data, page) if data.startswith(b"%PDF") else _picture(data, page)
        chops: Any = require("PIL.ImageChops", extra="all")
        draw: Any = require("PIL.ImageDraw", extra="all")
        library: Any = require("PIL.Image", extra="all")
    except (ExtraMissing, OSError, EOFError, RuntimeError):
        return None
    marks: Any = library.new("RGB", picture.size, "white")
    for box in boxes:
        draw.Draw(marks).rectangle([round(side * scale) for side in box], fill=MARKER)
    out = io.BytesIO()
    chops.multiply(picture, marks).quantize(COLOURS).save(out, "PNG", optimize=True)
    return out.getvalue()


def _pdf(data: bytes, page: int) -> tuple[Any, float]:
    with pdfium() as library:
        document = library.PdfDocument(data)
        try:
            sheet = document[page - 1]
            width, height = sheet.get_size()
            scale = min(DPI / POINTS, WIDEST / max(1.0, width), (LARGEST / max(1.0, width * height)) ** 0.5)
            picture: Any = sheet.render(scale=scale).to_pil().convert("RGB")
            sheet.close()
        finally:
            document.close()
    return picture, scale


def _picture(data: bytes, page: int) -> tuple[Any, float]:
    library: Any = require("PIL.Image", extra="all")
    with library.open(io.BytesIO(data)) as picture:
        if page > 1:
            picture.seek(page - 1)
        whole: Any = picture.convert("RGB")
    scale = min(1.0, WIDEST / whole.width, (LARGEST / (whole.width * whole.height)) ** 0.5)
    size = max(1, round(whole.width * scale)), max(1, round(whole.height * scale))
    return whole.resize(size), scale


def _bytes(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError:
        return b""
    return data if digest_bytes(data) == sha256 else b""
