"""`/v1/videos`: films as jobs. Each is a run: it survives the server, is checked, signed and stands in the record."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from bottega.core.errors import InvalidValue, NotFound, ReviewNeeded, TooLarge
from bottega.core.plan import Plan
from bottega.core.run import Run
from bottega.server.answer import call_id, idempotency_key
from bottega.server.batches import paged
from bottega.server.body import Body, only
from bottega.server.desk import Desk
from bottega.server.files import as_download, seconds
from bottega.server.form import Upload, read_form
from bottega.server.message import Call, Flow, Reply, contents, reply
from bottega.service.deliveries import files_of, path_of
from bottega.service.films import FILM, film_plan
from bottega.service.keys import ApiKey

ENGINES = ("video",)
PREFIX = "video"  # of the runs that are films
SIZE = "1280x720"
PICTURES = 12
PICTURE_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
WORDS_A_SECOND = 2.4  # spoken
STATES = {
    "planned": "queued", "running": "in_progress", "checking": "in_progress", "released": "completed",
    "awaiting_review": "in_progress", "blocked": "failed", "failed": "failed",
}  # fmt: skip


class VideoBody(Body, kw_only=True):
    """A text that is read aloud over pictures; as a form, with the pictures as ``input_reference``."""

    prompt: str
    model: str = "video"
    size: str | None = None
    seconds: Annotated[Any, only(why="a film lasts as long as its text is read")] = None
    seed: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    voice: str | None = None


async def create(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Begin a film; it goes on when the caller goes away."""
    if call.header(b"content-type").startswith("multipart/"):
        with await read_form(call, desk.config.file_bytes) as form:
            asked = form.read(VideoBody)
            uploads = (
                form.several("input_reference")
                if "input_reference" in {n.partition("[")[0] for n in form.files}
                else []
            )
            return await _begun(desk, call, key, asked, uploads)
    return await _begun(desk, call, key, await call.read(VideoBody), [])


async def listed(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """The caller's films, the newest first."""
    found = await asyncio.to_thread(desk.service.runs)
    mine = [run for run in reversed(found) if _is_film(key, run)]
    page, more = paged(mine, [run.id for run in mine], call.query)
    data = [told(run, desk.service.shop.runs.get(run.id)[1]) for run in page]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return reply({"object": "list", "data": data, "has_more": more, **ends})


async def one(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """One of them."""
    return reply(told(*await asyncio.to_thread(_film, desk, key, call.at["video"])))


async def content(desk: Desk, call: Call, key: ApiKey) -> Flow:
    """The film, signed."""
    run, _ = await asyncio.to_thread(_film, desk, key, call.at["video"])
    if call.query.get("variant", "video") != "video":
        raise InvalidValue("only the film itself is kept", where="variant", remedy="video")
    if run.state != "released":
        raise ReviewNeeded(
            f"the film is not there: {run.reason or run.state}", where="video", remedy="ask again later"
        )
    path = await asyncio.to_thread(path_of, run, FILM)
    return await contents(path, "video/mp4", *as_download(f"{run.id}.mp4"))


async def delete(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Stop it if it is being made, and remove its files; the record keeps that it was made."""
    run, _ = await asyncio.to_thread(_film, desk, key, call.at["video"])
    if run.state in ("planned", "running", "checking", "awaiting_review"):
        await asyncio.to_thread(desk.service.acting(key.actor).stop, run.id)
    elif run.out:
        gone = Path(run.out).with_name(f".{run.id}-gone")
        await asyncio.to_thread(_remove, Path(run.out), gone)
    return reply({"id": run.id, "object": "video.deleted", "deleted": True})


async def _begun(desk: Desk, call: Call, key: ApiKey, asked: VideoBody, uploads: list[Upload]) -> Reply:
    desk.names.get(asked.model, ENGINES)
    for engine in ("speech", *(() if uploads else ("layout",))):
        desk.names.get(engine)  # what the operator does not let be called is not called on the way either
    text = asked.prompt.strip()
    if not 3 <= len(text) <= 4000:
        raise InvalidValue("3 to 4000 characters are read aloud", where="prompt")
    if len(uploads) > PICTURES:
        raise TooLarge(f"{len(uploads)} pictures, {PICTURES} are allowed", where="input_reference")
    width, height = _size(asked.size or SIZE)
    if desk.guards.on_input:
        await desk.guards.let_in(text.encode(), "text/plain")
    pictures = [
        (each.path, await asyncio.to_thread(picture_type, each, desk.config.pixels, "input_reference"))
        for each in uploads
    ]
    service = desk.service.acting(key.actor)
    plan = await film_plan(
        service.shop, text, pictures, width=width, height=height, voice=asked.voice or "",
        local_only=desk.config.local_only, seed=7 if asked.seed is None else asked.seed,
    )  # fmt: skip
    run_id = call_id(call, key, kind=PREFIX)
    run = await asyncio.to_thread(
        service.submit, plan, service.folder.absolute() / "deliveries" / run_id, run_id=run_id, charge=key.charge,
        idempotency_key=idempotency_key(call, key),
    )  # fmt: skip
    return reply(told(run, plan), (b"x-bottega-run-id", run_id.encode()))


def told(run: Run, plan: Plan) -> dict[str, Any]:
    """A film as OpenAI's clients know it; ``seconds`` is an estimate until it is there."""
    film = plan.step("free.film")
    made = next((made for result in run.results for made in result.outputs if made.port == "video"), None)
    length = made.details["seconds"] if made else len(plan.brief.goal.split()) / WORDS_A_SECOND
    done = sum(result.state in ("done", "reused") for result in run.results)
    status = STATES.get(run.state, "failed")
    fault = (
        {"code": run.error or run.state, "message": run.reason or run.state} if status == "failed" else None
    )
    return {
        "id": run.id, "object": "video", "model": film.engine, "status": status,
        "progress": 100 if status == "completed" else round(100 * done / len(plan.steps)),
        "created_at": seconds(run.created_at), "completed_at": seconds(run.finished_at) or None, "expires_at": None,
        "prompt": plan.brief.goal, "size": f"{film.params['width']}x{film.params['height']}",
        "seconds": f"{max(length, 1):.0f}", "remixed_from_video_id": None, "error": fault,
    }  # fmt: skip


def _is_film(key: ApiKey, run: Run) -> bool:
    """Whether it is a film of the caller's that was not deleted: a deleted one is stopped, or has no files."""
    if not run.id.startswith(f"{PREFIX}-") or run.requested_by != key.actor or run.state == "cancelled":
        return False
    return run.state != "released" or bool(files_of(run))


def _film(desk: Desk, key: ApiKey, run_id: str) -> tuple[Run, Plan]:
    runs = desk.service.shop.runs
    with suppress(NotFound):
        if runs.head(run_id).requested_by == key.actor:
            run, plan = runs.get(run_id)
            if _is_film(key, run):
                return run, plan
    raise NotFound(f"no video '{run_id[:80]}'", where="video", remedy="/v1/videos lists them")


def _size(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal() and len(size) < 10):
        raise InvalidValue(f"'{size[:20]}' is no size", where="size", remedy=f"write {SIZE}")
    found = int(width), int(height)
    if not (320 <= found[0] <= 1920 and 240 <= found[1] <= 1920) or found[0] % 2 or found[1] % 2:
        raise InvalidValue(f"'{size}' is not even and between 320x240 and 1920x1920", where="size")
    return found


def picture_type(upload: Upload, most: int, where: str) -> str:
    """The media type of a picture that was sent, by its bytes.

    Raises:
        InvalidValue: it is none that can be decoded.
        TooLarge: it has more than ``most`` pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(upload.path, formats=(*PICTURE_TYPES,)) as picture:
            if picture.width * picture.height > most:
                raise TooLarge(f"{picture.width}x{picture.height} is more than {most} pixels", where=where)
            picture.load()
            return PICTURE_TYPES[str(picture.format)]
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InvalidValue(
            "it is no picture that can be shown", where=where, remedy="PNG, JPEG or WEBP"
        ) from error


def _remove(folder: Path, gone: Path) -> None:
    if folder.is_dir():
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
