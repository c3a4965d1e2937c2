"""What the server says of itself: models, health, metrics, the OpenAPI document."""

import asyncio
from typing import Any

from bottega.core.errors import BottegaError, NotFound, SetupError
from bottega.server.config import Named
from bottega.server.desk import Desk
from bottega.server.message import Call, Reply, reply
from bottega.server.openapi import described
from bottega.service.keys import ApiKey

OWNER = "bottega"


async def models(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Every name that may be given as ``model``."""
    return reply({"object": "list", "data": [_model(desk, named) for named in desk.names.all()]})


async def model(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """One of them."""
    return reply(_model(desk, desk.names.get(call.at["model"])))


async def live(desk: Desk, call: Call, key: None) -> Reply:
    """The process answers."""
    return reply({"status": "live"})


async def ready(desk: Desk, call: Call, key: None) -> Reply:
    """The state can be read."""
    try:
        await asyncio.to_thread(desk.service.state.journal.size)
    except BottegaError as error:
        raise SetupError("the state cannot be read", remedy="see the server's log") from error
    return reply({"status": "ready"})


async def metrics(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Counters, in the format of Prometheus."""
    return Reply(desk.metrics.text(), 200, ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),))


async def document(desk: Desk, call: Call, key: None) -> Reply:
    """What can be asked of this server (OpenAPI 3.1)."""
    return reply(described(desk.table))


def _model(desk: Desk, named: Named) -> dict[str, Any]:
    target = named.targets[0]
    card = desk.service.shop.card(target.engine)
    try:
        here = desk.service.shop.catalog.pulled(desk.service.shop.catalog.get(target.model or named.name))
    except NotFound:
        here = True
    return {
        "id": named.name, "object": "model", "created": 0, "owned_by": OWNER, "engine": target.engine,
        "modality": card.modality, "locality": card.locality, "ready": here,
    }  # fmt: skip
