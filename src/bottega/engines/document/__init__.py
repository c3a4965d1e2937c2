"""Documents: Markdown, pictures and data as a typeset PDF and as a self-contained HTML page."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar, cast

from markdown_it.tree import SyntaxTreeNode
from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Part, Progress, Request, Usage
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.engines.compose_filters import number_filters
from bottega.engines.document.html_writer import HtmlWriter
from bottega.engines.document.markup import Markup, parse, plain
from bottega.engines.document.sheet import Picture, Sheet, TemplateName
from bottega.engines.document.typeset import typeset
from bottega.engines.exact_json import loads
from bottega.engines.layout.colour import derive
from bottega.engines.markdown_table import table_filter

_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/svg+xml": ".svg",
    "image/gif": ".gif",
    "image/webp": ".webp",
}


class DocumentParams(Params, frozen=True):
    """What stands over the text, and how the document looks."""

    template: TemplateName = Field(
        default="page",
        description="one_pager: exactly one A4 page; page: as many as needed; data_sheet: tables first",
    )
    title: str = Field(
        default="", max_length=200, description="title in the file's metadata; the headline without one"
    )
    headline: str = Field(default="", max_length=200, description="instead of the text's first-level heading")
    subtitle: str = Field(default="", max_length=400, description="under the headline")
    kicker: str = Field(
        default="", max_length=80, description="small capitals over the headline; the brand without one"
    )
    brand: str = Field(default="", max_length=80, description="name at the foot of the page")
    palette: tuple[str, ...] = Field(
        default=(), max_length=5, description="brand colours, #rrggbb, dominant first"
    )
    language: str = Field(
        default="en", pattern="^[a-z]{2}$", description="for hyphenation and for screen readers"
    )
    alts: tuple[str, ...] = Field(
        default=(),
        max_length=24,
        description="what the pictures show, in the order of 'images'; for screen readers",
    )


class Document(Engine):
    """Typst for the PDF, one writer for the HTML; both from the same tree and palette."""

    card: ClassVar[Card] = Card(
        id="document",
        version="4",
        summary="PDF and HTML from Markdown, pictures and data, with real typesetting",
        modality="document",
        inputs=(
            Port(
                name="text",
                media_types=("text/markdown", "text/plain"),
                note="a first-level heading is the headline, a bold line under it the subtitle, the paragraphs "
                "before the next heading the introduction; third-level sections in a row stand side by side; "
                "footnotes are [^1] and '[^1]: words'",
            ),
            Port(
                name="images",
                media_types=tuple(_SUFFIXES),
                required=False,
                many=True,
                note="![words](name) in the text shows the image with that file or step name; "
                "the first one that the text does not show is the hero, the others stand at the end",
            ),
            Port(
                name="icons",
                media_types=tuple(_SUFFIXES),
                required=False,
                many=True,
                note="small pictures for the sections that stand side by side, in their order",
            ),
            Port(
                name="data",
                media_types=("application/json",),
                required=False,
                many=True,
                note="an object with title, subtitle or kicker fills what parameters and text leave open; "
                "rows of the table engine become a table unless the text has one",
            ),
        ),
        outputs=(
            Port(name="pdf", media_types=("application/pdf",)),
            Port(name="html", media_types=("text/html",)),
        ),
        licence="Apache-2.0",
        isolation="process",
        models=("inter-fonts", "display-fonts"),
        not_covered="Scripts outside Latin, Greek and Cyrillic have no face of their own; formulas are text.",
    )
    params: ClassVar[type[Params]] = DocumentParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the PDF, then the HTML page."""
        params = DocumentParams.model_validate(request.params)
        sheet = _sheet(params, request, bench)
        made = await asyncio.to_thread(typeset, sheet, bench)
        details = {
            "pages": made.pages,
            "type_size": made.size,
            "standard": made.standard,
            "title": sheet.title,
        }
        yield Finished(port="pdf", media_type="application/pdf", data=made.pdf, details=details)
        yield Progress(fraction=0.7, note="PDF set")
        bench.check_cancelled()
        font = (bench.weights("display-fonts") / "Fraunces-SemiBold.ttf").read_bytes()
        html = (await asyncio.to_thread(HtmlWriter(sheet).page, font)).encode()
        yield Usage(input_units=len(request.parts), output_units=made.pages, unit="page")
        yield Finished(port="html", media_type="text/html", data=html, details={"title": sheet.title})

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Typesetting takes a tenth of a second a try; a one-pager may need eleven."""
        return Estimate(seconds=0.6 + input_bytes / 4e6)


def _sheet(params: DocumentParams, request: Request, bench: Bench) -> Sheet:
    texts = parts_at(request, "text")
    if len(texts) != 1:
        raise EngineFailed(
            f"one text is wanted, {len(texts)} arrived", remedy="join the texts with 'compose'"
        )
    for colour in params.palette:
        if len(colour) != 7 or colour[0] != "#" or not set(colour[1:]) <= set("0123456789abcdefABCDEF"):
            raise EngineFailed(f"'{colour}' is not a colour", where="palette", remedy="write #rrggbb")
    copy, table = _data(parts_at(request, "data"), params.language, bench)
    text = bench.text(texts[0])
    markup = parse(text)
    if table and not markup.has_table:
        markup = parse(f"{text.rstrip()}\n\n{table}\n")
    headline = params.headline or ("" if markup.title else copy.get("title", "") or params.title)
    title = params.title or headline or _first_words(markup)
    pictures = _pictures(params.alts, "image", parts_at(request, "images"), bench, title)
    icons = _pictures((), "icon", parts_at(request, "icons"), bench, title)
    shown = set(markup.images())
    unused = [picture for picture in pictures if not shown & set(picture.names)]
    return Sheet(
        template=params.template,
        title=title,
        headline=headline,
        subtitle=params.subtitle or ("" if markup.subtitle else copy.get("subtitle", "")),
        kicker=params.kicker or copy.get("kicker", ""),
        brand=params.brand,
        language=params.language,
        palette=derive(params.palette, request.seed or 0),
        markup=markup,
        pictures=(*pictures, *icons),
        icons=icons,
        hero=unused[0] if unused else None,
        gallery=tuple(unused[1:]),
    )


def _data(parts: Sequence[Part], language: str, bench: Bench) -> tuple[dict[str, str], str]:
    """Title, subtitle and kicker; and a Markdown table."""
    copy: dict[str, str] = {}
    table = ""
    for part in parts:
        parsed: Any = loads(bench.text(part), where=part.name)
        value = cast(dict[str, Any], parsed if isinstance(parsed, dict) else {})
        if value.get("rows") and "columns" in value:
            table += table_filter(number_filters(language)["number"])(value) + "\n\n"
        elif value:
            copy |= {key: str(value[key]) for key in ("title", "subtitle", "kicker") if value.get(key)}
        else:
            raise EngineFailed("neither copy nor table rows", where=part.name, remedy="send a JSON object")
    return copy, table


def _first_words(markup: Markup) -> str:
    nodes = [node for node in (markup.title, *markup.blocks) if isinstance(node, SyntaxTreeNode)]
    words = next((text for text in map(plain, nodes) if text), "Document")
    return words if len(words) <= 80 else words[:80].rpartition(" ")[0] + " …"


def _pictures(
    alts: Sequence[str], kind: str, parts: Sequence[Part], bench: Bench, title: str
) -> tuple[Picture, ...]:
    pictures: list[Picture] = []
    for index, part in enumerate(parts):
        media_type = part.artifact.media_type if part.artifact else ""
        if media_type not in _SUFFIXES:
            raise EngineFailed(
                f"'{media_type}' is not a picture", where=part.name, remedy="send PNG, JPEG or SVG"
            )
        name = part.name.rpartition(":")[2]
        names = dict.fromkeys(
            (part.name, name, PurePosixPath(name).name, PurePosixPath(name).stem, f"{kind}-{index + 1}")
        )
        alt = alts[index] if index < len(alts) else title
        pictures.append(
            Picture(
                f"{kind}-{index}{_SUFFIXES[media_type]}",
                media_type,
                bench.read(part),
                tuple(filter(None, names)),
                alt,
            )
        )
    return tuple(pictures)
