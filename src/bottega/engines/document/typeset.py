"""From a sheet to PDF: tagged, titled, in its language, the same bytes every time."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from bottega.core.errors import EngineFailed
from bottega.engines.base import Bench, require
from bottega.engines.document.sheet import Picture, Sheet, colours
from bottega.engines.document.typst_writer import TypstWriter, string
from bottega.engines.pdfium import pdfium

# (type size in points, height of the hero in mm) for one page, best first. Smaller type than this is not read.
FITS = (
    (11.2, 112), (10.6, 112), (10.2, 104), (9.9, 98), (9.6, 92), (9.4, 84), (9.2, 76), (8.9, 70), (8.6, 64),
    (8.3, 58), (8.0, 52), (7.7, 46),
)  # fmt: skip
FITS_WITHOUT_HERO = ((12.6, 0), (12.0, 0), (11.6, 0), *FITS)
FLOWING = ((10.4, 0), (10.1, 0), (9.8, 0))


class Typeset(NamedTuple):
    """A PDF and how it came out. ``standard`` is ``ua-1`` or ``tagged``."""

    pdf: bytes
    pages: int
    size: float
    standard: str


def typeset(sheet: Sheet, bench: Bench) -> Typeset:
    """Compile; a one-pager gets the largest type that fits its page, other documents the fewest pages.

    Raises:
        EngineFailed: a one-pager is too long even at the smallest size, or a picture cannot be read.
    """
    typst: Any = require("typst", extra="all")
    root = bench.scratch / "document"
    root.mkdir(exist_ok=True)
    for picture in sheet.pictures:
        (root / picture.file).write_bytes(picture.data)
    fonts = [bench.weights("inter-fonts"), bench.weights("display-fonts")]
    compiler: Any = typst.Compiler(
        root=root,
        font_paths=fonts,
        ignore_system_fonts=True,
        package_path=root / "none",
        package_cache_path=root / "none",
    )
    if sheet.template != "one_pager":
        return min(
            (_try(sheet, typst, compiler, bench, *fit) for fit in FLOWING), key=lambda made: made.pages
        )
    for fit in FITS if sheet.hero else FITS_WITHOUT_HERO:
        made = _try(sheet, typst, compiler, bench, *fit)
        if made.pages == 1:
            return made
    filled = _filled(typst, fonts, _source(sheet, *FITS[-1]), root)
    raise EngineFailed(
        f"the text fills {filled:.1f} pages at the smallest type, one is allowed",
        where="text",
        remedy=f"shorten it by {100 * (1 - 1 / filled):.0f} % or use the template 'page'",
    )


def _try(sheet: Sheet, typst: Any, compiler: Any, bench: Bench, size: float, hero: int) -> Typeset:
    bench.check_cancelled()
    pdf, standard = _compile(typst, compiler, _source(sheet, size, hero).encode())
    return Typeset(pdf, _pages(pdf), size, standard)


def _compile(typst: Any, compiler: Any, source: bytes) -> tuple[bytes, str]:
    """PDF/UA when the text allows it (every character has a glyph), tagged PDF otherwise."""
    try:
        return compiler.compile(source, format="pdf", pdf_standards="ua-1", timestamp=0), "ua-1"
    except typst.TypstError:
        pass  # a character without a glyph breaks the standard; the second try tells all other mistakes
    try:
        return compiler.compile(source, format="pdf", timestamp=0), "tagged"
    except typst.TypstError as error:
        raise EngineFailed(f"typesetting failed: {error.message}", remedy="check the pictures") from error


def _source(sheet: Sheet, size: float, hero: int) -> str:
    files_of = {name: picture.file for name, picture in sheet.by_name.items()}
    writer = TypstWriter(sheet.markup, files_of, [icon.file for icon in sheet.icons])
    headline = f"[#{string(sheet.headline)}]"
    if not sheet.headline:
        headline = (
            writer.words(sheet.markup.title.children[0])
            if sheet.markup.title
            else f"[#{string(sheet.title)}]"
        )
    lead, body = writer.parts()
    theme = {
        "title": sheet.title,
        "brand": sheet.brand,
        "lang": sheet.language,
        "template": sheet.template,
        "foot": sheet.title if sheet.title != sheet.brand else "",
        "colours": colours(sheet.palette),
        "size": size,
        "hero": hero,
    }
    arguments = [
        f"kicker: {_words(sheet.kicker or (sheet.brand if sheet.brand != sheet.headline else ''))}",
        f"headline: {headline}",
        f"subtitle: {_words(sheet.subtitle) if sheet.subtitle else _bold_line(writer, sheet)}",
        f"lead: [{lead}]",
        f"hero: {string(sheet.hero.file) if sheet.hero else 'none'}",
        f"hero-alt: {string(sheet.hero.alt if sheet.hero else '')}",
        f"gallery: {_gallery(sheet.gallery)}",
    ]
    style = (files("bottega.engines.document") / "style.typ").read_text(encoding="utf-8")
    return (
        f"#let theme = {_value(theme)}\n{style}\n#(templates.{sheet.template})({', '.join(arguments)})[\n{body}\n"
        "#context [#metadata((here().page(), here().position().y / 297mm)) <end>]\n]"
    )


def _bold_line(writer: TypstWriter, sheet: Sheet) -> str:
    subtitle = sheet.markup.subtitle
    return writer.words(subtitle) if subtitle else "none"


def _words(text: str) -> str:
    return f"[#{string(text)}]" if text else "none"


def _gallery(pictures: Sequence[Picture]) -> str:
    items = "".join(f"({string(picture.file)}, {string(picture.alt)})," for picture in pictures)
    return f"gallery(({items}))" if items else "none"


def _value(value: object) -> str:
    """A Typst value of JSON types."""
    if isinstance(value, dict):
        pairs: dict[str, object] = value  # pyright: ignore[reportUnknownVariableType]
        return "(" + ", ".join(f"{string(key)}: {_value(item)}" for key, item in pairs.items()) + ")"
    return string(value) if isinstance(value, str) else json.dumps(value)


def _pages(pdf: bytes) -> int:
    with pdfium() as library, library.PdfDocument(pdf) as document:
        return len(document)


def _filled(typst: Any, fonts: Sequence[Path], source: str, root: Path) -> float:
    """How many pages the text fills, the last one by its share."""
    found: str = typst.query(
        source.encode(),
        "<end>",
        field="value",
        one=True,
        root=root,
        font_paths=fonts,
        ignore_system_fonts=True,
    )
    page, share = json.loads(found)
    return max(page - 1 + share, 1.05)
