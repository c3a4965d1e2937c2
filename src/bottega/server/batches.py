"""`/v1/batches`: a file of calls, made in the background, each governed as if it had been sent by itself."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

from bottega.core.errors import InvalidValue
from bottega.server.answer import idempotency_key
from bottega.server.body import Body, only
from bottega.server.desk import Desk
from bottega.server.files import seconds
from bottega.server.message import Call, Reply, reply
from bottega.server.oidc import granted_to
from bottega.service.batches import Batch, Status, new_id
from bottega.service.keys import ApiKey

T = TypeVar("T")
WINDOW = re.compile(r"^([1-9][0-9]{0,2})([hd])$")
PAGE = 100
OF_A_PERSON = 24  # hours that a batch may go on under what a person's token granted
STATUSES: tuple[Status, ...] = (
    "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"
)  # fmt: skip


class BatchBody(Body, kw_only=True):
    """Which file's calls go to which route, and until when. Files are JSON lines: custom_id, method, url, body."""

    input_file_id: str
    endpoint: str
    completion_window: str = "24h"
    metadata: dict[str, str] | None = None
    output_expires_after: Annotated[
        Any, only(why="files are kept until they are deleted", remedy="delete it")
    ] = None


async def create(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Begin a batch; what its lines say is looked at behind the scenes, as the dialect has it."""
    asked = await call.read(BatchBody)
    routes = [route.path for route in desk.table if route.in_batch]
    if asked.endpoint not in routes:
        raise InvalidValue(
            f"'{asked.endpoint[:80]}' takes no batches",
            where="endpoint",
            remedy=f"one of: {', '.join(routes)}",
        )
    found = WINDOW.match(asked.completion_window)
    if found is None:
        raise InvalidValue(
            f"'{asked.completion_window[:20]}' is no window", where="completion_window", remedy="24h"
        )
    hours = int(found[1]) * (24 if found[2] == "d" else 1)
    if key.kind == "user" and hours > OF_A_PERSON:
        raise InvalidValue(
            f"a batch of a person ends after {OF_A_PERSON} hours at most: it outlives their token",
            where="completion_window", remedy=f"{OF_A_PERSON}h, or use a key",
        )  # fmt: skip
    desk.service.files.get(key.actor, asked.input_file_id)
    until = datetime.now(UTC) + timedelta(hours=hours)
    batch = Batch(
        id=new_id(idempotency_key(call, key)), owner=key.actor, key=key.id, endpoint=asked.endpoint, input_file=asked.input_file_id,
        window=asked.completion_window, expires_at=until.isoformat(timespec="seconds"), metadata=asked.metadata or {},
        person=granted_to(key) if key.kind == "user" else {},
    )  # fmt: skip
    batch = await asyncio.to_thread(desk.service.batches.create, batch)
    desk.batch_bell.set()
    return reply(told(batch))


async def listed(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """The caller's batches, the newest first; ``after`` and ``limit`` page through them."""
    found = await asyncio.to_thread(desk.service.batches.all, key.actor)
    page, more = paged(found, [each.id for each in found], call.query)
    data = [told(each) for each in page]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return reply({"object": "list", "data": data, "has_more": more, **ends})


async def one(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """One of them."""
    return reply(told(await asyncio.to_thread(desk.service.batches.get, key.actor, call.at["batch"])))


async def cancel(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Make no further call; what is made stays in its files."""
    batch = await asyncio.to_thread(desk.service.batches.get, key.actor, call.at["batch"])
    batch = await asyncio.to_thread(desk.service.batches.ask_to_cancel, batch)
    desk.batch_bell.set()
    return reply(told(batch))


def told(batch: Batch) -> dict[str, Any]:
    """A batch as OpenAI's clients know it."""
    times = {f"{status}_at": seconds(batch.at.get(status, "")) or None for status in STATUSES}
    return {
        "id": batch.id, "object": "batch", "endpoint": batch.endpoint, "input_file_id": batch.input_file,
        "completion_window": batch.window, "status": batch.status, "output_file_id": batch.output_file or None,
        "error_file_id": batch.error_file or None, "created_at": seconds(batch.at.get("validating", "")),
        "expires_at": seconds(batch.expires_at), **times, "metadata": batch.metadata,
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "errors": {"object": "list", "data": [*batch.faults]} if batch.faults else None,
    }  # fmt: skip


def paged(found: list[T], ids: list[str], query: dict[str, str]) -> tuple[list[T], bool]:
    """A page of a list, and whether more follow.

    Raises:
        InvalidValue: ``limit`` is no number between 1 and 100.
    """
    limit = query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit[:9]) <= PAGE:
        raise InvalidValue(f"'{limit[:20]}' is not between 1 and {PAGE}", where="limit")
    after = query.get("after", "")
    start = ids.index(after) + 1 if after in ids else 0
    return found[start : start + int(limit)], len(found) > start + int(limit)
