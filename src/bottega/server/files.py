"""`/v1/files` and `/v1/content_provenance_checks`."""

import asyncio
from datetime import datetime
from time import time
from typing import Annotated, Any

from bottega.core.errors import InvalidValue
from bottega.server.answer import idempotency_key
from bottega.server.body import Body, only
from bottega.server.desk import Desk
from bottega.server.form import read_form
from bottega.server.message import Call, Flow, Reply, contents, reply
from bottega.service.files import StoredFile, new_id
from bottega.service.keys import ApiKey

# What a verification found, as OpenAI's clients know it: whether there is a signal, and what became of it.
SIGNALS = {
    "valid": ("detected", "trusted"), "untrusted": ("detected", "valid"),
    "tampered": ("not_detected", "invalid"), "unsigned": ("not_detected", "not_present"),
}  # fmt: skip
PURPOSES = ("assistants", "batch", "user_data", "vision", "evals", "fine-tune")


class FileBody(Body, kw_only=True):
    """What is said of a file that is sent."""

    purpose: str = "user_data"
    expires_after: Annotated[Any, only(why="files are kept until they are deleted", remedy="delete it")] = (
        None
    )


class ProvenanceBody(Body, kw_only=True):
    """What is said of a file that is looked at: of every model's alike."""

    model: str = ""


async def create(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Send a file."""
    with await read_form(call, desk.config.file_bytes) as form:
        upload = form.file("file")
        purpose = form.read(FileBody).purpose
        if purpose not in PURPOSES:
            raise InvalidValue(
                f"'{purpose}' is not known", where="purpose", remedy=f"one of: {', '.join(PURPOSES)}"
            )
        if not upload.size:
            raise InvalidValue("the file is empty", where="file")
        stored = await asyncio.to_thread(
            desk.service.files.take,
            key.actor,
            upload.path,
            upload.name,
            purpose,
            new_id(idempotency_key(call, key)),
        )
    return reply(told(stored))


async def listed(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """The caller's files."""
    found = await asyncio.to_thread(desk.service.files.all, key.actor)
    data = [told(each) for each in found]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return reply({"object": "list", "data": data, "has_more": False, **ends})


async def one(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """One of them."""
    return reply(told(desk.service.files.get(key.actor, call.at["file"])))


async def content(desk: Desk, call: Call, key: ApiKey) -> Flow:
    """Its bytes."""
    found = desk.service.files.get(key.actor, call.at["file"])
    return await contents(found.path, "application/octet-stream", *as_download(found.name))


async def delete(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Delete it."""
    await asyncio.to_thread(desk.service.files.delete, key.actor, call.at["file"])
    return reply({"id": call.at["file"], "object": "file", "deleted": True})


async def provenance(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """What a file says of how it was made, and whether that holds."""
    with await read_form(call, desk.config.file_bytes) as form:
        upload = form.file("file")
        path = upload.path.rename(upload.path.with_name(f"{upload.path.name}-{upload.name[-80:]}"))
        found = await asyncio.to_thread(desk.service.verify, path)
    made = found.provenance
    outcome, state = SIGNALS[found.state]
    signal = {
        "type": "c2pa", "outcome": outcome, "validation_state": state, "issuer": found.signer or None,
        "model": (made.model or made.engine) if made else None, "generated_at": made.made_at if made else None,
        "reasons": [*found.reasons], "run": made.run_id if made else None,
    }  # fmt: skip
    body = {
        "object": "content_provenance_check", "created_at": int(time()), "filename": upload.name,
        "results": [signal], "verification": found.document(),
    }  # fmt: skip
    return reply(body)


def told(file: StoredFile) -> dict[str, Any]:
    """A file as OpenAI's clients know it."""
    return {
        "id": file.id, "object": "file", "bytes": file.size, "filename": file.name, "purpose": file.purpose,
        "created_at": seconds(file.created_at), "status": "processed", "expires_at": None, "status_details": None,
    }  # fmt: skip


def seconds(at: str) -> int:
    """An RFC 3339 time in seconds since 1970."""
    return int(datetime.fromisoformat(at).timestamp()) if at else 0


def as_download(name: str) -> tuple[tuple[bytes, bytes], ...]:
    """Headers that keep a browser from showing what somebody sent."""
    safe = "".join(c for c in name if c.isalnum() or c in "-_. ") or "file"
    return (
        (b"content-disposition", f'attachment; filename="{safe}"'.encode("latin-1", "replace")),
        (b"x-content-type-options", b"nosniff"),
    )
