"""`/v1/moderations`: the checks of this machine on texts."""

from collections.abc import Mapping

from bottega.core.errors import InvalidValue, PolicyDenied
from bottega.server.body import Body
from bottega.server.config import Guard
from bottega.server.desk import Desk
from bottega.server.guard import Guards
from bottega.server.message import Call, Reply, reply
from bottega.service.keys import ApiKey

CHECKS = ("profanity", "personal_data")  # each is a category
MOST = 100  # texts


class ModerationBody(Body, kw_only=True):
    """Texts to be judged."""

    input: str | list[str]
    model: str = "checks"


async def moderations(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """What the checks say of each text; their reasons stand beside their categories."""
    asked = await call.read(ModerationBody)
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if not texts or len(texts) > MOST:
        raise InvalidValue(f"{len(texts)} texts, 1 to {MOST} are allowed", where="input")
    guards = {check: Guards(desk.service.shop, Guard(input={check: {}})) for check in CHECKS}
    results = [await _judged(guards, text) for text in texts]
    return reply({"id": f"modr-{key.id}", "model": "checks", "results": results})


async def _judged(guards: Mapping[str, Guards], text: str) -> dict[str, object]:
    found: dict[str, str] = {}
    for category, guard in guards.items():
        try:
            await guard.let_in(text.encode(), "text/plain")
        except PolicyDenied as refusal:
            found[category] = refusal.message
    categories = {name: name in found for name in CHECKS}
    return {
        "flagged": bool(found), "categories": categories, "reasons": found,
        "category_scores": {name: float(hit) for name, hit in categories.items()},
        "category_applied_input_types": {name: ["text"] for name in CHECKS},
    }  # fmt: skip
