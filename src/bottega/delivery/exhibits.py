"""How each kind of file is shown on the page.

Files of the folder are linked, so that what is seen is the signed file; what is only derived from them (captions,
posters, the first page of a PDF, waveforms, text, tables) stands in the page itself.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import quote

from bottega.core.artifact import Artifact
from bottega.core.plan import Deliverable
from bottega.core.run import Made
from bottega.delivery.citations import Answer, Citations
from bottega.delivery.pictures import data_uri, first_page, poster, raster_size, waveform
from bottega.delivery.prose import Prose, prose

Show = Literal[
    "picture", "sound", "film", "paper", "web", "prose", "answers", "table", "record", "plain", "file"
]
ROWS = 100  # rows of a table on the page; the file has them all
TEXT = 200_000  # characters of a text on the page


@dataclass(frozen=True)
class Exhibit:
    """A deliverable as the page shows it; only the fields of its ``show`` are filled."""

    show: Show
    src: str
    width: int = 0
    height: int = 0
    small: bool = False  # several may stand in a row
    preview: str = ""  # data URI of a still picture
    track: str = ""  # data URI of captions
    lines: tuple[str, ...] = ()  # what is said, one entry a sentence
    seconds: float = 0.0
    bars: tuple[float, ...] = ()  # loudness over time, 0 to 1
    pages: int = 0
    prose: Prose | None = None
    answers: tuple[Answer, ...] = ()
    columns: tuple[tuple[str, bool], ...] = ()  # name, numeric
    rows: tuple[tuple[str, ...], ...] = ()
    total: int = 0
    value: Any = None
    text: str = ""


def exhibit(
    item: Deliverable,
    made: Made,
    siblings: Sequence[Made],
    locate: Callable[[Artifact], Path],
    citations: Citations,
) -> Exhibit:
    """Look at one deliverable. A file that cannot be read as its type is shown as a link."""
    src, media = quote(item.path), made.artifact.media_type.partition(";")[0]
    path = locate(made.artifact)
    others = {other.port: other for other in siblings if other.port != made.port}
    if media == "image/svg+xml":
        return Exhibit("picture", src, small=item.kind.startswith("icon") or made.port.startswith("icon"))
    if media.startswith("image/"):
        width, height = raster_size(path)
        return Exhibit("picture", src, width, height, small=0 < width <= 512 and height <= 512)
    if media.startswith("video/"):
        still = poster(locate(others["poster"].artifact)) if "poster" in others else ""
        captions = locate(others["captions"].artifact).read_text("utf-8") if "captions" in others else ""
        track = data_uri(captions.encode(), "text/vtt") if captions else ""
        return Exhibit("film", src, preview=still, track=track, lines=_cues(captions),
                       seconds=_seconds(made.details))  # fmt: skip
    if media.startswith("audio/"):
        timings = _json(locate(others["timings"].artifact)) if "timings" in others else None
        segments: Any = cast(dict[str, Any], timings).get("segments", []) if isinstance(timings, dict) else []
        lines = tuple(str(s.get("text", "")) for s in cast(list[dict[str, Any]], segments))
        bars, seconds = waveform(path) if media in ("audio/wav", "audio/x-wav") else ((), 0.0)
        return Exhibit("sound", src, bars=bars, seconds=seconds or _seconds(made.details), lines=lines)
    if media == "application/pdf":
        still, pages, width, height = first_page(path)
        return Exhibit("paper", src, width, height, preview=still, pages=pages)
    if media == "text/html":
        return Exhibit("web", src)
    return _written(src, media, path, citations)


def _written(src: str, media: str, path: Path, citations: Citations) -> Exhibit:
    if not (media.startswith("text/") or media == "application/json" or media.endswith("+json")):
        return Exhibit("file", src)
    text = path.read_bytes().decode("utf-8", "replace")
    if media == "text/markdown":
        return Exhibit("prose", src, prose=prose(text[:TEXT]))
    if media == "text/csv":
        rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff"))))
        return _table(src, rows[0] if rows else [], rows[1:])
    if media == "text/vtt":
        return Exhibit("plain", src, lines=_cues(text))
    if media != "application/json" and not media.endswith("+json"):
        return Exhibit("plain", src, text=text[:TEXT])
    value = _json(path)
    if isinstance(value, dict):
        items: Any = cast(dict[str, Any], value).get("items")
        if isinstance(items, list) and items and all("question" in i for i in cast(list[Any], items) if i):
            return Exhibit("answers", src, answers=citations.answers(cast(list[object], items)))
        if {"columns", "rows"} <= value.keys() and isinstance(value["rows"], list):
            columns = [str(c.get("name", "")) if isinstance(c, dict) else str(c) for c in value["columns"]]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            return _table(src, columns, cast(list[list[Any]], value["rows"]))
    return (
        Exhibit("record", src, value=value) if value is not None else Exhibit("plain", src, text=text[:TEXT])
    )


def _table(src: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Exhibit:
    shown = tuple(tuple("" if cell is None else str(cell) for cell in row) for row in rows[:ROWS])
    numeric = [
        any(row[index : index + 1] for row in shown)
        and all(_is_number(row[index]) for row in shown if len(row) > index and row[index])
        for index in range(len(columns))
    ]
    return Exhibit(
        "table", src, columns=tuple(zip(columns, numeric, strict=True)), rows=shown, total=len(rows)
    )


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").replace(" ", "").strip("%€$£"))
    except ValueError:
        return False
    return True


def _cues(vtt: str) -> tuple[str, ...]:
    """The lines of WebVTT captions without times and settings."""
    blocks = vtt.replace("\r\n", "\n").split("\n\n")
    spoken = [block.split("\n") for block in blocks if "-->" in block]
    return tuple(
        " ".join(line for line in block[next(i for i, x in enumerate(block) if "-->" in x) + 1 :] if line)
        for block in spoken
    )


def _seconds(details: dict[str, Any]) -> float:
    found = details.get("duration", details.get("seconds", 0.0))
    return float(found) if isinstance(found, int | float) else 0.0


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None
