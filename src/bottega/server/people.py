"""`/v1/reviews`, `/v1/audit`, `/v1/budgets`, `/v1/keys`: the work of people, and what they look after."""

import asyncio
import json
from dataclasses import asdict
from typing import Any, Literal

import msgspec

from bottega.core.errors import InvalidValue, NotFound, PolicyDenied
from bottega.pipelines.review import Waiting
from bottega.server.access import oversees
from bottega.server.answer import call_id, idempotency_key
from bottega.server.desk import Desk
from bottega.server.message import Call, Reply, encode, reply
from bottega.service.keys import ApiKey
from bottega.storage.accounts import Period

MOST_ENTRIES = 1000


class DecisionBody(msgspec.Struct, kw_only=True):
    """What a person decides. ``who`` must be the key's own name unless the key is an administrator's."""

    outcome: Literal["approve", "reject"]
    why: str = ""


class LimitBody(msgspec.Struct, kw_only=True):
    """A limit of an account; null takes it away."""

    unit: str
    limit: float | None
    period: Period = "total"
    why: str = ""


class KeyBody(msgspec.Struct, kw_only=True):
    """A key to be made."""

    name: str
    role: str = "developer"
    charge: list[str] = []
    expires: str = ""
    project: str = ""
    labels: list[str] = []


class ProjectBody(msgspec.Struct, kw_only=True):
    """A project's team, and whether it is closed."""

    team: str = ""
    closed: bool = False
    why: str = ""


async def reviews(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """What waits for a person; ``state=all`` shows what is decided as well."""
    everything = call.query.get("state") == "all"
    found = await asyncio.to_thread(lambda: desk.service.reviews().queue(everything=everything))
    mine = [each for each in found if not key.project or await asyncio.to_thread(_overseen, desk, key, each)]
    return reply({"object": "list", "data": [_review(each) for each in mine]})


async def review(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """One of them."""
    return reply(_review(await asyncio.to_thread(_seen, desk, key, call.at["review"])))


async def decide(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Approve or reject it, under the name of the key."""
    asked = await call.read(DecisionBody)
    seen = await asyncio.to_thread(_seen, desk, key, call.at["review"])
    same = (
        (each.by, each.outcome, each.why) == (key.actor, asked.outcome, asked.why.strip())
        for each in seen.decisions
    )
    if idempotency_key(call, key) and any(same):  # taken before this process began
        return reply(_review(seen))
    found = await asyncio.to_thread(
        desk.service.reviews(key.actor).decide, call.at["review"], asked.outcome, key.name, asked.why
    )
    return reply(_review(found))


async def audit(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Entries of the record, the oldest first: all of a ``subject``, or the ``last`` so many."""
    last = call.query.get("last", "100")
    if not last.isdecimal() or not 1 <= int(last[:9]) <= MOST_ENTRIES:
        raise InvalidValue(f"'{last[:20]}' is not between 1 and {MOST_ENTRIES}", where="last")
    subject = call.query.get("subject", "")
    entries = await asyncio.to_thread(desk.service.audit.log, subject, last=int(last))
    return reply({"object": "list", "data": [json.loads(entry.canonical()) for entry in entries]})


async def checkpoint(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """The signed root of the record as it is now."""
    note = await asyncio.to_thread(desk.service.audit.checkpoint)
    return reply({"checkpoint": note, "key": desk.service.audit.vkey})


async def budgets(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Accounts with what they may spend and have spent; a developer sees the ones that pay for the key."""
    found = await asyncio.to_thread(desk.service.budgets().all)
    whole = key.role in ("admin", "auditor") and not key.project
    seen = [each for each in found if whole or each.account in key.charge]
    return reply({"object": "list", "data": [_account(each) for each in seen]})


async def limit(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Set what an account may spend."""
    asked = await call.read(LimitBody)
    ledger = desk.service.acting(key.actor).budgets()
    ready = await asyncio.to_thread(
        lambda: ledger.set(call.at["account"], asked.unit, asked.limit, period=asked.period, why=asked.why)
    )
    found = [each for each in ledger.all() if each.account == call.at["account"]]
    return reply({"object": "list", "data": [_account(each) for each in found], "ready": [*ready]})


async def keys(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Keys, never their secrets."""
    found, now = await asyncio.to_thread(desk.access.keys.all), desk.access.keys.now()
    mine = [each for each in found if key.project in ("", each.project)]
    return reply({"object": "list", "data": [{**asdict(each), "state": each.state(now)} for each in mine]})


async def make_key(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Make a key; its secret is told this once."""
    asked = await call.read(KeyBody)
    if key.project and (asked.project != key.project or not {*asked.charge} <= {*key.charge}):
        raise PolicyDenied(f"a key of '{key.project}' makes keys of that project alone", where="project")
    made, secret = await asyncio.to_thread(
        lambda: desk.service.keys(key.actor).create(
            asked.name,
            role=asked.role,
            charge=asked.charge,
            expires=asked.expires,
            project=asked.project,
            labels=asked.labels,
            key_id=call_id(call, key, kind="key") if idempotency_key(call, key) else "",
        )
    )
    return Reply(encode({**asdict(made), "secret": secret}), 201)


async def revoke_key(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Revoke a key by id, or all of a name."""
    which = call.at["key"]
    if key.project and any(
        which in (each.id, each.name) and each.project != key.project for each in desk.access.keys.all()
    ):
        raise NotFound(f"no key '{which[:80]}' to revoke", where="key")
    found = await asyncio.to_thread(desk.service.keys(key.actor).revoke, which)
    return reply({"object": "list", "data": [asdict(each) for each in found]})


async def projects(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Projects with their teams."""
    found = await asyncio.to_thread(desk.service.projects().all)
    return reply({"object": "list", "data": [{"object": "project", **asdict(each)} for each in found]})


async def set_project(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Make a project, give it to a team, close it or open it again."""
    asked = await call.read(ProjectBody)
    made = await asyncio.to_thread(
        lambda: desk.service.projects(key.actor).set(
            call.at["project"], team=asked.team, closed=asked.closed, why=asked.why
        )
    )
    return reply({"object": "project", **asdict(made)})


def _overseen(desk: Desk, key: ApiKey, waiting: Waiting) -> bool:
    try:
        return oversees(key, desk.service.shop.runs.head(waiting.run_id))
    except NotFound:
        return False


def _seen(desk: Desk, key: ApiKey, review_id: str) -> Waiting:
    """A review that the caller may see; one of another project is not there."""
    found = desk.service.reviews().get(review_id)
    if key.project and not _overseen(desk, key, found):
        raise NotFound(f"no review starts with '{review_id}'", remedy="/v1/reviews lists them")
    return found


def _review(waiting: Waiting) -> dict[str, Any]:
    return {
        "id": waiting.id, "object": "review", "state": waiting.state, "run": waiting.run_id, "owner": waiting.owner,
        "opened_at": waiting.opened_at, "due_at": waiting.due_at, "expires_at": waiting.expires_at,
        "ticket": waiting.ticket.document(),
        "decisions": [decision.document() for decision in waiting.decisions],
    }  # fmt: skip


def _account(account: Any) -> dict[str, Any]:
    """Amounts as decimal text: a budget is exact, a float is not."""
    return {name: str(value) if name in ("limit", "spent", "reserved", "left", "near") and value is not None else value
            for name, value in asdict(account).items()}  # fmt: skip
