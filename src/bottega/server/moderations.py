"""`/v1/moderations`: the checks of this machine on texts."""

import msgspec

from bottega.core.errors import InvalidValue, PolicyDenied
from bottega.server.config import Guard
from bottega.server.desk import Desk
from bottega.server.guard import Guards
from bottega.server.message import Call, Reply, reply
from bottega.service.keys import ApiKey

CHECKS = {"profanity": "profanity", "personal_data": "personal_data"}  # category to check
MOST = 100  # texts


class ModerationBody(msgspec.Struct, kw_only=True):
    """Texts to be judged."""

    input: str | list[str]
    model: str = "checks"


async def moderations(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """What the checks say of each text; their reasons stand beside their categories."""
    asked = await call.read(ModerationBody)
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if not texts or len(texts) > MOST:
        raise InvalidValue(f"{len(texts)} texts, 1 to {MOST} are allowed", where="input")
    results = [await _judged(desk, text) for text in texts]
    return reply({"id": f"modr-{key.id}", "model": "checks", "results": results})


async def _judged(desk: Desk, text: str) -> dict[str, object]:
    found: dict[str, str] = {}
    for category, check in CHECKS.items():
        guards = Guards(desk.service.shop, Guard(input={check: {}}))
        try:
            await guards.let_in(text.encode(), "text/plain")
        except PolicyDenied as refusal:
            found[category] = refusal.message
    categories = {name: name in found for name in CHECKS}
    return {
        "flagged": bool(found), "categories": categories, "reasons": found,
        "category_scores": {name: float(hit) for name, hit in categories.items()},
        "category_applied_input_types": {name: ["text"] for name in CHECKS},
    }  # fmt: skip
