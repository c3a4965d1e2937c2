"""Markdown to one HTML file: semantic, self-contained, without scripts; it reads on a telephone and prints."""

import base64
import html
from collections.abc import Mapping
from importlib.resources import files
from string import Template

from markdown_it.tree import SyntaxTreeNode

from bottega.engines.document.markup import Block, Cards, level, parser, plain, unbroken
from bottega.engines.document.sheet import Picture, Sheet, colours

_NOTES = {
    "en": "Notes", "fr": "Notes", "de": "Anmerkungen", "es": "Notas", "it": "Note", "pt": "Notas", "nl": "Noten",
}  # fmt: skip


class HtmlWriter:
    """Writes one page. Links other than http, https and mailto become plain text; unknown pictures become their words."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._pictures: Mapping[str, Picture] = sheet.by_name
        self._noted: dict[str, int] = {}
        self._icons = iter(sheet.icons)
        self._base = 1 if sheet.markup.title else 0
        self._renderer = parser().renderer

    def page(self, display_font: bytes) -> str:
        """The whole file. ``display_font`` is a TrueType face for headings."""
        sheet = self._sheet
        body = "\n".join(self._block(block) for block in sheet.markup.blocks)
        headline = html.escape(sheet.headline)
        if not headline:
            headline = (
                self._all(sheet.markup.title.children[0]) if sheet.markup.title else html.escape(sheet.title)
            )
        subtitle = html.escape(sheet.subtitle)
        if not subtitle and sheet.markup.subtitle:
            subtitle = self._all(sheet.markup.subtitle)
        kicker = sheet.kicker or (sheet.brand if sheet.brand != sheet.headline else "")
        text = (files("bottega.engines.document") / "page.html").read_text(encoding="utf-8")
        style = (files("bottega.engines.document") / "page.css").read_text(encoding="utf-8")
        variables = "".join(
            f"--{name.replace('_', '-')}:{value};" for name, value in colours(sheet.palette).items()
        )
        return Template(text).substitute(
            language=sheet.language,
            template=sheet.template.replace("_", "-"),
            title=html.escape(sheet.title),
            style=f":root{{{variables}}}\n{style}",
            font=base64.b64encode(display_font).decode(),
            hero=f'<div class="hero">{_img(sheet.hero)}</div>' if sheet.hero else "",
            kicker=f'<p class="kicker">{html.escape(kicker)}</p>' if kicker else "",
            headline=headline,
            subtitle=f'<p class="subtitle">{subtitle}</p>' if subtitle else "",
            body=body,
            gallery=f'<div class="gallery">{"".join(map(_img, sheet.gallery))}</div>'
            if sheet.gallery
            else "",
            notes=self._notes(),
            brand=html.escape(sheet.brand),
        )

    def _block(self, block: Block) -> str:
        if not isinstance(block, Cards):
            return self._node(block)
        cards = (
            f'<section class="card">{self._icon()}{self._node(card.title)}{"".join(map(self._node, card.body))}</section>'
            for card in block.items
        )
        return f'<div class="cards">{"".join(cards)}</div>'

    def _icon(self) -> str:
        """The next section's icon; it repeats what the heading says, so it is not read out."""
        icon = next(self._icons, None)
        return _img(icon, "").replace("<img ", '<img class="icon" ', 1) if icon else ""

    def _all(self, node: SyntaxTreeNode) -> str:
        return "".join(self._node(child) for child in node.children)

    def _node(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "text" | "text_special":
                return html.escape(unbroken(node.content))
            case "inline":
                return self._all(node)
            case "softbreak":
                return "\n"
            case "hardbreak":
                return "<br>"
            case "hr":
                return "<hr>"
            case "code_inline":
                return f"<code>{html.escape(node.content)}</code>"
            case "code_block" | "fence":
                return f"<pre><code>{html.escape(node.content)}</code></pre>"
            case "heading":
                tag = f"h{min(6, level(node) + (0 if self._sheet.markup.title or level(node) > 1 else 1))}"
                return f"<{tag}>{self._all(node)}</{tag}>"
            case "paragraph":
                return self._all(node) if node.hidden else f"<p>{self._all(node)}</p>"
            case "image":
                picture = self._pictures.get(str(node.attrs.get("src", "")))
                words = plain(node)
                return _img(picture, words or None) if picture else f"<em>{html.escape(words)}</em>"
            case "link":
                return self._link(node)
            case "footnote_ref":
                number = self._noted.setdefault(node.content, len(self._noted) + 1)
                return f'<sup><a href="#note-{number}" id="ref-{number}">{number}</a></sup>'
            case "table":
                return f'<div class="table"><table>{self._all(node)}</table></div>'
            case "th" | "td":
                side = str(node.attrs.get("style", "")).rpartition(":")[2]
                scope = ' scope="col"' if node.type == "th" else ""
                place = f' class="{side}"' if side in {"left", "right", "center"} else ""
                return f"<{node.type}{scope}{place}>{self._all(node)}</{node.type}>"
            case "ordered_list":
                start = int(node.attrs.get("start", 1))
                return (
                    f"<ol{f' start={chr(34)}{start}{chr(34)}' if start != 1 else ''}>{self._all(node)}</ol>"
                )
            case (
                "bullet_list" | "list_item" | "blockquote" | "em" | "strong" | "s" | "thead" | "tbody" | "tr"
            ):
                return f"<{node.tag}>{self._all(node)}</{node.tag}>"
            case _:
                return html.escape(node.content) if not node.children else self._all(node)

    def _link(self, node: SyntaxTreeNode) -> str:
        target = str(node.attrs.get("href", ""))
        inner = self._all(node)
        if not target.lower().startswith(("https://", "http://", "mailto:")):
            return inner
        return f'<a href="{html.escape(target)}" rel="noopener">{inner}</a>'

    def _notes(self) -> str:
        """Footnotes, in the order of their references; a note may refer to further notes."""
        items: list[str] = []
        for index in range(len(self._sheet.markup.footnotes)):
            if index >= len(self._noted):
                break
            label = list(self._noted)[index]
            note = "".join(self._all(child) for child in self._sheet.markup.footnotes[label].children)
            items.append(
                f'<li id="note-{index + 1}">{note} <a href="#ref-{index + 1}" aria-label="{index + 1}">↩</a></li>'
            )
        if not items:
            return ""
        title = _NOTES.get(self._sheet.language, "Notes")
        return f'<section class="notes" aria-label="{title}"><ol>{"".join(items)}</ol></section>'


def _img(picture: Picture, alt: str | None = None) -> str:
    data = base64.b64encode(picture.data).decode()
    return f'<img src="data:{picture.media_type};base64,{data}" alt="{html.escape(picture.alt if alt is None else alt)}">'
