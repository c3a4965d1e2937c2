"""Pictures composed by rule: brand palette, real type, an icon that fits the words, a generative background."""

import asyncio
import base64
import io
import json
import random
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from bottega.core.errors import InvalidValue
from bottega.core.request import Finished, Output, Progress, Request
from bottega.core.value import JsonObject
from bottega.engines import iconography
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at, require
from bottega.engines.layout import editorial, geometric, gradient
from bottega.engines.layout.colour import contrast, derive
from bottega.engines.layout.measure import grounds
from bottega.engines.layout.pointer import resolve
from bottega.engines.layout.scene import Scene, rasterise
from bottega.engines.layout.studio import Copy, Kind, Studio
from bottega.engines.layout.typography import Typesetter, printable

FONTS = ("inter-fonts", "display-fonts")
ICONS = "lucide-icons"
STYLES = {"editorial": editorial.compose, "geometric": geometric.compose, "gradient": gradient.compose}
SIZES: dict[str, tuple[int, int]] = {
    "hero": (1600, 900),
    "banner": (2100, 600),
    "social": (1080, 1080),
    "slide": (1280, 720),
    "title_card": (1280, 720),
    "closing": (1280, 720),
}


SURELY = 0.4  # score from which a title's words may choose the icon


class LayoutParams(Params, frozen=True):
    """What to set. Texts in the ``copy`` input win over the texts given here."""

    kind: Kind = Field(
        default="hero", description="what the picture is for; a banner is art without words, save the brand"
    )
    style: Literal["auto", "editorial", "geometric", "gradient"] = Field(
        default="auto", description="the composition; auto picks by the seed"
    )
    width: int = Field(default=0, ge=0, le=4096, description="pixels; 0 takes the usual size of the kind")
    height: int = Field(default=0, ge=0, le=4096, description="pixels; 0 takes the usual size of the kind")
    title: str = Field(default="", max_length=200, description="the headline")
    subtitle: str = Field(default="", max_length=400, description="one or two sentences")
    kicker: str = Field(default="", max_length=80, description="a short line above the headline")
    foot: float = Field(
        default=0.0,
        ge=0,
        le=0.4,
        description="share of the height, at the foot, that slides and cards keep free for captions",
    )
    bullets: tuple[str, ...] = Field(default=(), max_length=6, description="points of a slide")
    icon: str = Field(
        default="", max_length=120, description="English words that the icon should fit, or its name"
    )
    pointer: str = Field(
        default="", description="RFC 6901 pointer to the copy inside the input, such as /scenes/0"
    )
    palette: tuple[str, ...] = Field(
        default=(), max_length=5, description="brand colours, #rrggbb, dominant first"
    )
    brand: str = Field(default="", max_length=60, description="the name that signs the picture")


class Layout(Engine):
    """Sets copy on a generated ground, as SVG with outlined type and as PNG."""

    card: ClassVar[Card] = Card(
        id="layout",
        version="2",
        summary="Hero, social, slide and card pictures from type, palette, icons and generative grounds",
        modality="image",
        inputs=(
            Port(name="copy", media_types=("application/json",), required=False),
            Port(name="picture", media_types=("image/png", "image/jpeg"), required=False),
        ),
        outputs=(
            Port(name="svg", media_types=("image/svg+xml",)),
            Port(name="png", media_types=("image/png",)),
        ),
        reads_names=False,
        licence="Apache-2.0",
        isolation="process",
        models=(*FONTS, ICONS),
        not_covered="Latin scripts only; text is set from left to right",
    )
    params: ClassVar[type[Params]] = LayoutParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the SVG, then its rendering."""
        params = LayoutParams.model_validate(request.params)
        bench.check_cancelled()
        svg, details = await asyncio.to_thread(compose, params, request, bench)
        yield Progress(fraction=0.6, note="composed")
        bench.check_cancelled()
        png = await asyncio.to_thread(rasterise, svg, details["width"], details["height"])
        yield Finished(port="svg", media_type="image/svg+xml", data=svg.encode(), details=details)
        yield Finished(port="png", media_type="image/png", data=png, details=details)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Two to three seconds."""
        return Estimate(seconds=2.5)


def compose(params: LayoutParams, request: Request, bench: Bench) -> tuple[str, JsonObject]:
    """The SVG and what is known about it."""
    seed = request.seed or 0
    rng = random.Random(f"layout {seed} {params.kind}{params.pointer}")
    usual = SIZES[params.kind]
    width, height = params.width or usual[0], params.height or usual[1]
    icons = iconography.load(bench.weights(ICONS))
    copy, match = _copy(params, request, bench, icons)
    style = params.style if params.style != "auto" else random.Random(f"style {seed}").choice(sorted(STYLES))
    for colour in params.palette:
        if len(colour) != 7 or colour[0] != "#" or any(c not in "0123456789abcdefABCDEF" for c in colour[1:]):
            raise InvalidValue(f"'{colour}' is not a colour", where="palette", remedy="write #rrggbb")
    palette = derive(params.palette, seed)
    folders = {name: bench.weights(name) for name in FONTS}
    scene = Scene(width, height)
    STYLES[style](Studio(scene, copy, palette, Typesetter(folders), icons, rng, params.foot), params.kind)
    bench.check_cancelled()
    texts = scene.described()
    for text, ground in zip(texts, grounds(rasterise(scene.svg(), width, height), texts), strict=True):
        text["ground"] = ground
        text["contrast"] = round(contrast(text["colour"], ground), 2)
    layer = scene.text_layer(tuple(folders.values())) if texts else ""
    svg = scene.svg(layer, copy.title or copy.brand)
    return svg, {
        "width": width,
        "height": height,
        "kind": params.kind,
        "style": style,
        "icon": match.name,
        "icon_score": match.score,
        "palette": {name: getattr(palette, name) for name in palette.__dataclass_fields__},
        "texts": texts,
    }


def _copy(
    params: LayoutParams, request: Request, bench: Bench, icons: iconography.Icons
) -> tuple[Copy, iconography.Match]:
    given: JsonObject = {}
    for part in parts_at(request, "copy"):
        try:
            found = resolve(json.loads(bench.text(part)), params.pointer)
        except json.JSONDecodeError as error:
            raise InvalidValue("the copy is not JSON", where=part.name or "copy") from error
        if not isinstance(found, dict):
            raise InvalidValue(
                "the copy is not an object", where=f"copy{params.pointer}", remedy="set `pointer`"
            )
        given = cast(JsonObject, found)

    def text(name: str) -> str:
        value = given.get(name)
        return printable(value if isinstance(value, str) and value.strip() else str(getattr(params, name)))

    listed: Any = given.get("bullets")
    bullets = (
        [str(item) for item in cast(list[Any], listed)] if isinstance(listed, list) else list(params.bullets)
    )
    title = text("title")
    if not title.strip() and params.kind != "banner":
        raise InvalidValue(
            "there is no title",
            where="title",
            remedy="give `title` in the copy or the parameters",
        )
    match = icons.find(text("icon")) if text("icon") else iconography.Match("", "", 0.0)
    if text("icon") and not match.name:
        told = icons.find(title)
        match = told if told.score >= SURELY else match
    pictures = [_data_url(bench.read(part)) for part in parts_at(request, "picture")]
    return Copy(
        title=title,
        subtitle=text("subtitle"),
        kicker=text("kicker") if text("kicker").casefold() != params.brand.casefold() else "",
        bullets=tuple(bullet for bullet in bullets if bullet.strip())[:6],
        brand=printable(params.brand),
        icon=match.name,
        picture=pictures[0] if pictures else "",
    ), match


def _data_url(data: bytes) -> str:
    """A picture as a JPEG data URL, at most 2048 pixels wide."""
    images: Any = require("PIL.Image", extra="all")
    try:
        image: Any = images.open(io.BytesIO(data)).convert("RGB")
    except OSError as error:
        raise InvalidValue(
            "the picture cannot be read", where="picture", remedy="send a PNG or JPEG file"
        ) from error
    image.thumbnail((2048, 2048))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
