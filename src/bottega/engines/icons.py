"""Icons that fit words: tiles in the brand's colours, drawn by the house models where a drawing passes the check."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request
from bottega.core.value import JsonObject
from bottega.engines import iconography
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.engines.drawing.engine import MODEL as DRAWING
from bottega.engines.icon_drawings import TRIES, Drawn, House
from bottega.engines.icon_sheets import SIDE, Icon, Sheet, rendered, variations
from bottega.engines.layout.art import Region
from bottega.engines.layout.colour import Palette, contrast, derive, mix, readable
from bottega.engines.layout.pointer import resolve
from bottega.engines.layout.scene import Placed, Scene
from bottega.engines.layout.typography import GROTESK, Typesetter
from bottega.engines.pictogram.engine import MODEL as PICTOGRAM
from bottega.engines.variations import INK, PAIR

FONTS = ("inter-fonts", "display-fonts")
SHEETS = tuple(Port(name=name, media_types=("image/png",)) for name in ("sheet", "variations"))


class IconsParams(Params, frozen=True):
    """What the icons stand for. Words in the ``copy`` input win over the words given here."""

    words: tuple[str, ...] = Field(default=(), max_length=12, description="English words, one entry an icon")
    labels: tuple[str, ...] = Field(
        default=(), max_length=12, description="what stands under them; default the words"
    )
    count: int = Field(default=0, ge=0, le=12, description="how many icons; 0 takes one for each word, or 3")
    pointer: str = Field(
        default="", description="RFC 6901 pointer to a list in the copy: texts, or objects with `icon`"
    )
    palette: tuple[str, ...] = Field(
        default=(), max_length=5, description="brand colours, #rrggbb, dominant first"
    )
    style: Literal["solid", "soft"] = Field(default="solid", description="solid brand tiles, or soft tints")
    source: Literal["drawn", "designed"] = Field(
        default="drawn",
        description="drawn by the house models where the check sees the thing nearly as well as in Lucide's, else Lucide's; or Lucide's alone",
    )


class Icons(Engine):
    """Finds what shows each entry in the names and tags of Lucide, all different, and draws them as one family."""

    card: ClassVar[Card] = Card(
        id="icons",
        version="5",
        summary="A family of icons that fit words, as SVG tiles, a labelled sheet and a sheet of variations",
        modality="image",
        inputs=(Port(name="copy", media_types=("application/json",), required=False),),
        outputs=(
            *(Port(name=f"icon{n}", media_types=("image/svg+xml",)) for n in range(1, 4)),
            *SHEETS,
        ),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        isolation="process",
        models=("lucide-icons", PICTOGRAM, DRAWING, PAIR, *FONTS),
        not_covered="ranks by words, not meaning; words that fit nothing get a letter, with score 0 in the details",
    )
    params: ClassVar[type[Params]] = IconsParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield each icon, then the sheet and the sheet of variations."""
        params = IconsParams.model_validate(request.params)
        entries, seed = _entries(params, request, bench), request.seed or 0
        library = iconography.load(bench.weights("lucide-icons"))
        setter = Typesetter({name: bench.weights(name) for name in FONTS})
        palette = derive(params.palette, seed)
        matches: list[iconography.Match] = []
        for words, _, told in entries:
            bench.check_cancelled()
            matches.append(library.other(words, told, {match.name for match in matches if match.name}))
        drawings = [Drawn(why="`source` asks for Lucide's drawings")] * len(entries)
        if params.source == "drawn":
            drawings = await asyncio.to_thread(_drawn, matches, library, seed, bench)
        pairs = _pairs(palette, params.style, len(entries), seed)
        sheet = Sheet(palette, setter, [label for _, label, _ in entries])
        facts: list[JsonObject] = []
        for index, ((words, label, _), match, drawn, (ground, front)) in enumerate(
            zip(entries, matches, drawings, pairs, strict=True)
        ):
            bench.check_cancelled()
            icon = Icon(match, drawn, library)
            scene = Scene(round(SIDE), round(SIDE), [_tile(0, 0, index, ground, front, icon)])
            if not match.name:
                scene.texts.append(_letter(setter, label, 0, 0, front))
            layer = (
                await asyncio.to_thread(scene.text_layer, tuple(setter.folders.values()))
                if scene.texts
                else ""
            )
            fact: JsonObject = {"words": words, "label": label, "icon": match.name, "score": match.score,
                                "colours": [ground, front], "contrast": round(contrast(ground, front), 2),
                                **drawn.facts}  # fmt: skip
            facts.append(fact)
            shown = f"{match.name.replace('-', ' ')} icon" if match.name else f"letter {label[:1].upper()}"
            svg = scene.svg(layer, label, f"{shown} for: {words}")
            yield Finished(
                port=f"icon{index + 1}", media_type="image/svg+xml", data=svg.encode(), details=fact
            )
            yield Progress(fraction=(index + 1) / (len(entries) + 2))
            x, y = sheet.place(index)
            sheet.scene.ground.append(_tile(x, y, index, ground, front, icon))
            if not match.name:
                sheet.scene.texts.append(_letter(setter, label, x, y, front))
        icons = [Icon(match, drawn, library) for match, drawn in zip(matches, drawings, strict=True)]
        several = variations(palette, setter, [label for _, label, _ in entries], icons)
        for port, scene in (("sheet", sheet.scene), ("variations", several)):
            data, texts = await asyncio.to_thread(rendered, scene, setter)
            details: JsonObject = {
                "width": scene.width,
                "height": scene.height,
                "icons": facts,
                "texts": texts,
            }
            yield Finished(port=port, media_type="image/png", data=data, details=details)

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """One SVG port an icon, and the sheet."""
        count = (params.count or len(params.words) or 3) if isinstance(params, IconsParams) else 3
        icons = tuple(Port(name=f"icon{n}", media_types=("image/svg+xml",)) for n in range(1, count + 1))
        return (*icons, *SHEETS)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """About a second, and a tenth for each drawing that is tried."""
        count = len(self.outputs_for(params)) - len(SHEETS)
        drawn = isinstance(params, IconsParams) and params.source == "drawn"
        return Estimate(seconds=1.5 + (0.2 * TRIES * count if drawn else 0))


def _entries(params: IconsParams, request: Request, bench: Bench) -> list[tuple[str, str, tuple[str, ...]]]:
    """Words and label of each icon, and what else the copy says about it."""
    found: Any = list(params.words)
    for part in parts_at(request, "copy"):
        try:
            found = resolve(json.loads(bench.text(part)), params.pointer)
        except json.JSONDecodeError as error:
            raise EngineFailed("the copy is not JSON", where=part.name or "copy") from error
    if not isinstance(found, list):
        raise EngineFailed(
            "the copy is not a list", where=f"copy{params.pointer}", remedy="set `pointer` to a list"
        )
    entries: list[tuple[str, str, tuple[str, ...]]] = []
    for item in cast(list[Any], found):
        fields = cast(JsonObject, item) if isinstance(item, dict) else {"icon": item}
        words = str(fields.get("icon") or fields.get("title") or "").strip()
        label = str(fields.get("label") or fields.get("title") or words).strip()
        told = tuple(str(fields[name]) for name in ("title", "text") if fields.get(name))
        entries.append((words, label[:1].upper() + label[1:], told))
    entries = [entry for entry in entries if entry[0]]
    if params.labels:
        entries = [
            (words, label, told) for (words, _, told), label in zip(entries, params.labels, strict=False)
        ]
    count = params.count or len(params.words) or 3
    if len(entries) < count:
        raise EngineFailed(
            f"{count} icons are asked for, and there are words for {len(entries)}",
            where=f"copy{params.pointer}",
            remedy="give more `words`, or set `count`",
        )
    return entries[:count]


def _pairs(palette: Palette, style: str, count: int, seed: int) -> list[tuple[str, str]]:
    """Ground and front of each tile; neighbours differ."""
    if style == "soft":
        return [
            (mix(palette.tint, palette.paper, 0.25), readable(palette.primary, palette.tint, 4.6))
        ] * count
    grounds = [palette.primary, palette.accent, palette.deep, palette.second]
    start = random.Random(f"icons {seed}").randrange(2)
    pairs: list[tuple[str, str]] = []
    for index in range(count):
        ground = grounds[(start + index) % (3 if count <= 3 else 4)]
        front = max((palette.paper, palette.night), key=lambda colour: contrast(colour, ground))
        pairs.append((ground, front))
    return pairs


def _tile(
    x: float,
    y: float,
    index: int,
    ground: str,
    front: str,
    icon: Icon,
) -> str:
    """A rounded tile with one large disc of light in a corner, and the icon."""
    cx, cy = ((0.92, 0.95), (0.05, 0.9), (0.95, 0.05), (0.08, 0.08))[index % 4]
    light = mix(ground, "#ffffff", 0.32) if contrast(ground, "#000000") > 8 else mix(ground, front, 0.13)
    glow = f'<circle cx="{x + SIDE * cx:.1f}" cy="{y + SIDE * cy:.1f}" r="{SIDE * 0.52:.1f}" fill="{light}"/>'
    whole = Region(x, y, SIDE, SIDE)
    tile = whole.clip(f"tile{index}", whole.fill(ground) + glow, SIDE * 0.23)
    size = SIDE * 0.47
    return tile + icon.at(x + (SIDE - size) / 2, y + (SIDE - size) / 2, size, front)


def _drawn(
    matches: Sequence[iconography.Match], library: iconography.Icons, seed: int, bench: Bench
) -> list[Drawn]:
    """What the house models draw for each, by the name of what was found, held to what Lucide has for it."""
    house = House(bench)
    return [
        house.draw(
            re.sub(r"[-\d]+", " ", match.name).strip(),
            library.draw(match.name, 0, 0, INK, "#000000"),
            seed,
            bench.check_cancelled,
        )
        if match.name
        else Drawn(why="nothing is known that shows these words")
        for match in matches
    ]


def _letter(setter: Typesetter, label: str, x: float, y: float, colour: str) -> Placed:
    """The first letter, for words that no icon fits."""
    letter = next((c for c in label.upper() if c.isalnum()), "•")
    block = setter.fit(letter, GROTESK, size=132, floor=132, width=SIDE, height=SIDE, lines=1, name="letter")
    return Placed("letter", block, x + SIDE / 2, y + SIDE * 0.5 - 132 * 0.45, colour, centred=True)
