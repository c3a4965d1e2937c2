"""`/v1/images/edits`: a picture that was sent, changed by an engine that takes pictures."""

import asyncio

from bottega import plugins
from bottega.core.errors import InvalidValue, NotFound
from bottega.core.request import Part, Request
from bottega.engines.base import Card
from bottega.server.config import Target
from bottega.server.desk import Desk
from bottega.server.form import read_form
from bottega.server.images import ImageBody, made
from bottega.server.images import request_for as drawn
from bottega.server.message import Call, Flow, Reply
from bottega.server.videos import picture_type
from bottega.service.keys import ApiKey

PORTS = ("picture", "image")  # where an engine takes the picture that it is to change; a mask goes to "mask"


def able(desk: Desk) -> dict[str, str]:
    """Engines that make a picture out of a picture, with the port that takes it."""
    found: dict[str, str] = {}
    for engine in plugins.found("bottega.engines"):
        card = desk.service.shop.card(engine)
        port = next((port.name for port in card.inputs if port.name in PORTS), "")
        if card.modality == "image" and port:
            found[engine] = port
    return found


async def edits(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Change a picture: `layout` sets the prompt's words over it; another engine does what it says of itself.

    Raises:
        NotFound: no engine of this name takes pictures; says which do.
        InvalidValue: the engine takes no mask, and one was sent.
    """
    with await read_form(call, desk.config.file_bytes) as form:
        asked = form.read(ImageBody)
        ports = await asyncio.to_thread(able, desk)
        named = desk.names.get(asked.model)
        engine = named.targets[0].engine
        if not all(target.engine in ports for target in named.targets):
            raise NotFound(
                f"'{asked.model}' ({engine}) changes no pictures: no engine here redraws one from words",
                where="model", remedy=f"one of: {', '.join(ports)}; or install an engine with an input '{PORTS[1]}'",
            )  # fmt: skip
        uploads = form.several("image")
        if len(uploads) > 1:
            raise InvalidValue("one picture at a time", where="image")
        kinds = {"image": await asyncio.to_thread(picture_type, uploads[0], desk.config.pixels, "image")}
        if "mask" in form.files:
            kinds["mask"] = await asyncio.to_thread(
                picture_type, form.files["mask"], desk.config.pixels, "mask"
            )
        store = desk.service.shop.artifacts
        parts: list[Part] = []
        for name, kind in kinds.items():
            upload = form.files.get(name) or uploads[0]
            if desk.guards.on_input:
                await desk.guards.let_in(await asyncio.to_thread(upload.path.read_bytes), kind)
            artifact = await asyncio.to_thread(store.put_file, upload.path, kind)
            port = ports[engine] if name == "image" else "mask"
            if not _takes(desk.service.shop.card(engine), port, kind):
                raise InvalidValue(
                    f"'{engine}' takes no {kind} as {name}",
                    where=name,
                    remedy="leave it out, or choose another model",
                )
            parts.append(Part(port=port, name=upload.name, artifact=artifact))

    def asking(target: Target, width: int, height: int, seed: int) -> Request:
        return drawn(target, asked.prompt, width, height, seed).model_copy(update={"parts": tuple(parts)})

    return await made(desk, call, key, asked, named, asking, kind="image_edit")


def _takes(card: Card, port: str, kind: str) -> bool:
    return any(each.name == port and each.accepts(kind) for each in card.inputs)
