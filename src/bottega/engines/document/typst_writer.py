"""Markdown to Typst. Every word becomes a Typst string, so no text can turn into Typst code."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from markdown_it.tree import SyntaxTreeNode

from bottega.engines.document.markup import Block, Cards, Markup, level, plain, unbroken

_LINK = re.compile(r"(https?://|mailto:)\S+", re.IGNORECASE)


def string(text: str) -> str:
    """A Typst string literal. Control characters become spaces; a number and its unit stay on one line."""
    clean = "".join(c if c >= " " and c != "\x7f" else " " for c in unbroken(text))
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


class TypstWriter:
    """Writes one document. ``pictures`` maps the names used in the text to files in the compiler's root."""

    def __init__(self, markup: Markup, pictures: Mapping[str, str], icons: Sequence[str] = ()) -> None:
        self._markup = markup
        self._pictures = pictures
        self._icons = icons
        self._level = 0  # of the last heading: PDF/UA allows no gap
        self._noted: dict[str, str] = {}
        self._nodes: dict[str, Callable[[SyntaxTreeNode], str]] = {
            "blockquote": lambda node: f"#quote(block: true)[{self._all(node)}]",
            "bullet_list": lambda node: f"#list(tight: {self._tight(node)}, {self._items(node)})",
            "code_block": lambda node: f"#raw(block: true, {self._code(node)})",
            "code_inline": lambda node: f"#raw({string(node.content)});",
            "em": lambda node: f"#emph[{self._all(node)}];",
            "fence": lambda node: f"#raw(block: true, {self._code(node)})",
            "footnote_ref": self._footnote,
            "hardbreak": lambda _: "#linebreak();",
            "heading": self._heading,
            "hr": lambda _: "#rule()",
            "image": self._image,
            "inline": self._all,
            "link": self._link,
            "ordered_list": self._enum,
            "paragraph": lambda node: f"#par[{self._all(node)}]",
            "s": lambda node: f"#strike[{self._all(node)}];",
            "softbreak": lambda _: '#" ";',
            "strong": lambda node: f"#strong[{self._all(node)}];",
            "table": self._table,
        }

    def parts(self) -> tuple[str, str]:
        """The paragraphs that open the text, and all blocks after them."""
        blocks = self._markup.blocks
        opening = next(
            (i for i, b in enumerate(blocks) if isinstance(b, Cards) or b.type != "paragraph"), len(blocks)
        )
        icons = iter(self._icons)
        written = [self._block(block, icons) for block in blocks]
        return "\n".join(written[:opening]), "\n".join(written[opening:])

    def words(self, node: SyntaxTreeNode) -> str:
        """The inline content of a heading or paragraph, as Typst content."""
        return f"[{self._all(node)}]"

    def _block(self, block: Block, icons: Iterator[str]) -> str:
        if not isinstance(block, Cards):
            return self._node(block)
        base = self._level
        cards: list[str] = []
        for card in block.items:
            self._level = base
            body = "\n".join(self._node(node) for node in card.body)
            icon = string(next(icons, ""))
            cards.append(f"([{self._heading(card.title)}], [{body}], {icon})")
        return f"#cards(({', '.join(cards)},))"

    def _node(self, node: SyntaxTreeNode) -> str:
        write = self._nodes.get(node.type)
        return write(node) if write else f"#{string(node.content)};"

    def _all(self, node: SyntaxTreeNode) -> str:
        return "".join(self._node(child) for child in node.children)

    def _code(self, node: SyntaxTreeNode) -> str:
        lines = node.content.rstrip("\n").split("\n")
        return ' + "\\n" + '.join(string(line) for line in lines)

    def _heading(self, node: SyntaxTreeNode) -> str:
        base = 2 if self._markup.title or level(node) > 1 else 1
        self._level = max(1, min(level(node) - base + 1, self._level + 1))
        return f"#heading(level: {self._level})[{self._all(node)}]"

    def _items(self, node: SyntaxTreeNode) -> str:
        return ", ".join(f"[{self._all(item)}]" for item in node.children)

    def _tight(self, node: SyntaxTreeNode) -> str:
        tight = all(
            child.hidden for item in node.children for child in item.children if child.type == "paragraph"
        )
        return "true" if tight else "false"

    def _enum(self, node: SyntaxTreeNode) -> str:
        start = int(node.attrs.get("start", 1))
        return f"#enum(tight: {self._tight(node)}, start: {start}, {self._items(node)})"

    def _link(self, node: SyntaxTreeNode) -> str:
        target = str(node.attrs.get("href", ""))
        inner = self._all(node)
        return f"#link({string(target)})[{inner}];" if _LINK.fullmatch(target) and inner else inner

    def _image(self, node: SyntaxTreeNode) -> str:
        alt = plain(node)
        path = self._pictures.get(str(node.attrs.get("src", "")))
        if path is None:
            return f"#emph[#{string(alt)};];"
        return f"#picture({string(path)}, {string(alt or 'Picture')})"

    def _footnote(self, node: SyntaxTreeNode) -> str:
        label = node.content
        if label in self._noted:
            return f"#footnote(<{self._noted[label]}>);"
        self._noted[label] = f"note-{len(self._noted) + 1}"
        note = "".join(self._all(child) for child in self._markup.footnotes[label].children)
        return f"#[#footnote[{note}]<{self._noted[label]}>];"

    def _table(self, node: SyntaxTreeNode) -> str:
        rows = [row.children for part in node.children for row in part.children]
        return table(
            [[self._all(cell) for cell in row] for row in rows],
            [_width([plain(row[i]) for row in rows]) for i in range(len(rows[0]))],
            ["right" if "right" in str(cell.attrs.get("style", "")) else
             "center" if "center" in str(cell.attrs.get("style", "")) else "left" for cell in rows[0]],
        )  # fmt: skip


def _width(cells: Sequence[str]) -> int:
    """The share of a column: its longest cell stays on one line, its title may wrap between words."""
    title = max((len(word) for word in cells[0].split()), default=0) * 1.1
    return round(min(max(title, *map(len, cells[1:]), len(cells[0]) / 3, 4.0), 36) + 2)


def table(rows: Sequence[Sequence[str]], widths: Sequence[int], align: Sequence[str]) -> str:
    """A Typst table of content cells; the first row is the head, columns share the width by their longest cell."""
    shares = ", ".join(f"{width}fr" for width in widths)
    lines = [", ".join(f"[{cell}]" for cell in row) for row in rows]
    return (
        f"#table(columns: ({shares},), align: ({', '.join(align)},), "
        f"table.header({lines[0]}), {', '.join(lines[1:])})"
    )
