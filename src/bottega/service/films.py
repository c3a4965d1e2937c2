"""A film of pictures and a text that is read aloud over them: the plan of a run."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bottega.core.brief import Brief, FreeStep
from bottega.core.plan import Plan, SourceRef
from bottega.pipelines.build import Builder
from bottega.pipelines.intent import read_intent
from bottega.pipelines.sources import CONVERTER
from bottega.pipelines.validate import validate
from bottega.pipelines.workshop import Workshop
from bottega.retrieval.document import MEDIA_TYPE, Document, PageText, dump

FILM, POSTER, CAPTIONS = "video.mp4", "poster.png", "captions.vtt"
TITLE = 120  # characters of a text that stand on a picture when none is given


async def film_plan(
    shop: Workshop, text: str, pictures: Sequence[tuple[Path, str]], *, width: int, height: int, voice: str = "",
    local_only: bool = False, seed: int = 7,
) -> Plan:  # fmt: skip
    """The plan: a voice, a picture of the text's words when none is given, and the film.

    Args:
        shop: where the pictures are kept.
        text: what is read aloud, 3 to 4000 characters.
        pictures: files with their media types, in order; they are shown, not read.
        width: pixels, even.
        height: pixels, even.
        voice: of the engine `speech`; empty for the first.
        local_only: nothing may leave the machine.
        seed: same text, pictures and seed, same film.

    Raises:
        InvalidBrief, InvalidPlan, PolicyDenied: as for any brief.
    """
    script = await asyncio.to_thread(_text, shop, text)
    shown = [
        await asyncio.to_thread(_picture, shop, *each, number) for number, each in enumerate(pictures, 1)
    ]
    scenes = tuple(f"source:{each.name}" for each in shown)
    steps = [
        FreeStep(
            id="voice",
            engine="speech",
            params={"voice": voice},
            inputs={"script": (f"source:{script.name}",)},
        )
    ]
    if not shown:
        title = text if len(text) <= TITLE else text[:TITLE].rsplit(" ", 1)[0] + " ..."
        params = {"kind": "slide", "title": title, "width": width, "height": height, "foot": 0.2}
        steps.append(FreeStep(id="card", engine="layout", params=params))
        scenes = ("card.png",)
    look = {"width": width, "height": height}
    inputs = {"scenes": scenes, "audio": ("voice.audio",), "timings": ("voice.timings",)}
    steps.append(
        FreeStep(id="film", engine="video", params=look, inputs=inputs, port="video", path=FILM, title="Film")
    )
    brief = Brief.model_validate(
        {"goal": text, "sources": [script.name], "steps": [step.document() for step in steps], "seed": seed,
         "languages": ["en"], "constraints": {"local_only": local_only}}
    )  # fmt: skip
    intent = await read_intent(brief, shop.ask)  # it lists its steps: no model is asked
    plan = Builder(brief, intent, [script, *shown], None, shop).build()
    await asyncio.to_thread(validate, plan, shop)
    return plan


def _text(shop: Workshop, text: str) -> SourceRef:
    artifact = shop.artifacts.put(text.encode(), "text/plain")
    return _kept(
        shop,
        SourceRef(name="script.txt", sha256=artifact.sha256, media_type="text/plain", size=artifact.size),
        text,
    )


def _picture(shop: Workshop, path: Path, media_type: str, number: int) -> SourceRef:
    artifact = shop.artifacts.put_file(path, media_type)
    name = f"scene-{number}.{media_type.partition('/')[2]}"
    return _kept(
        shop, SourceRef(name=name, sha256=artifact.sha256, media_type=media_type, size=artifact.size), ""
    )


def _kept(shop: Workshop, source: SourceRef, text: str) -> SourceRef:
    """A source that is used as it is: no passage of it is quoted, so none is made."""
    document = Document(
        name=source.name, sha256=source.sha256, media_type=source.media_type, passages=(),
        pages=(PageText(number=1, text=text),),
    )  # fmt: skip
    stored = shop.artifacts.put(dump(document), MEDIA_TYPE)
    shop.runs.keep_document(source.sha256, source.name, CONVERTER, stored.canonical().decode())
    return source
