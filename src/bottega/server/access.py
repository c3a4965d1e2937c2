"""Who may call what: keys, roles, and how often. Whatever is not granted is refused, with the reason."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from bottega.core.errors import PolicyDenied, RateLimited, Unauthenticated
from bottega.core.run import Run
from bottega.server.message import Call
from bottega.server.oidc import People
from bottega.service.keys import ApiKey, Keys, Role, hashed

Grant = Literal[
    "models:read", "engines:call", "files:own", "runs:make", "runs:read", "reviews:read", "reviews:decide",
    "audit:read", "budgets:read", "budgets:write", "collections:read", "collections:write", "keys:write", "metrics:read",
    "projects:write",
]  # fmt: skip

ROLES: Mapping[Role, frozenset[Grant]] = {
    "admin": frozenset(Grant.__args__),  # type: ignore[attr-defined]
    "developer": frozenset(
        {
            "models:read",
            "engines:call",
            "files:own",
            "runs:make",
            "runs:read",
            "collections:read",
            "budgets:read",
        }
    ),
    "reviewer": frozenset({"models:read", "runs:read", "reviews:read", "reviews:decide", "collections:read"}),
    "auditor": frozenset(
        {"models:read", "runs:read", "reviews:read", "audit:read", "budgets:read", "metrics:read"}
    ),
    "viewer": frozenset({"models:read", "runs:read"}),
}
WHOLE: frozenset[Grant] = frozenset(
    {"audit:read", "budgets:write", "collections:write", "metrics:read", "projects:write"}
)  # what no role in a project grants
SEES_ALL: frozenset[Role] = frozenset({"admin", "reviewer", "auditor"})  # what others asked for, too


def oversees(key: ApiKey, run: Run) -> bool:
    """Whether the role of a key shows runs of others: of a project's key, those that the project pays for."""
    return key.role in SEES_ALL and (not key.project or f"project:{key.project}" in run.charge)


def granted(key: ApiKey, grant: Grant) -> None:
    """Return when the role of a key grants this.

    Raises:
        PolicyDenied: it does not.
    """
    if grant not in ROLES[key.role]:
        raise PolicyDenied(
            f"the role '{key.role}' of key '{key.name}' does not grant '{grant}'",
            remedy="ask with a key whose role grants it",
        )
    if key.project and grant in WHOLE:
        raise PolicyDenied(
            f"'{grant}' is about the whole server, and '{key.name}' is of the project '{key.project}'",
            remedy="ask with a key of no project",
        )


FRESH = 1.0  # seconds that a looked-up key is trusted: a revocation counts within them
MOST_KEYS = 10_000  # remembered


@dataclass
class Access:
    """Looks keys up and counts their requests. One process counts for itself."""

    keys: Keys
    per_minute: int = 0  # requests of one key; 0: no limit
    people: People | None = None
    _known: dict[str, tuple[float, ApiKey]] = field(default_factory=dict[str, tuple[float, ApiKey]])
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    async def admit(self, call: Call, grant: Grant | None) -> ApiKey | None:
        """The key of a call that may have what it asks for; ``None`` as grant is for anybody.

        Raises:
            Unauthenticated: there is no key, or none that may be used.
            PolicyDenied: its role does not grant this.
            RateLimited: it asks too often.
        """
        if grant is None:
            return None
        secret, project = _secret(call), call.header(b"openai-project").strip()
        if self.people is not None and secret.count(".") == 2:  # a JWT; a key has no dots
            key = await asyncio.to_thread(self.people.person, secret, project)
        else:
            key = self._key(secret)
            if project not in ("", key.project):
                raise PolicyDenied(
                    f"the key '{key.name}' is not of the project '{project[:80]}'", where="openai-project"
                )
        granted(key, grant)
        if self.per_minute:
            self._count(key)
        return key

    def _key(self, secret: str) -> ApiKey:
        name, now = hashed(secret), monotonic()
        at, key = self._known.get(name, (0.0, None))
        if key is None or now - at > FRESH:
            key = self.keys.find(secret)
            if key is None:
                raise Unauthenticated(
                    "this API key is unknown",
                    where="authorization",
                    remedy="make one: bottega keys create --name NAME",
                )
            if len(self._known) >= MOST_KEYS:
                self._known.clear()
            self._known[name] = (now, key)
        if (state := key.state(self.keys.now())) != "active":
            raise Unauthenticated(
                f"this API key is {state}",
                where="authorization",
                remedy="make another: bottega keys create --name NAME",
            )
        return key

    def left(self, key: ApiKey) -> tuple[float, float]:
        """Requests that a key may make now, and the seconds until it may make all of a minute's."""
        now, most = monotonic(), float(self.per_minute)
        left, at = self._buckets.get(key.actor, (most, now))
        left = min(left + (now - at) * most / 60, most)
        return left, (most - left) * 60 / most

    def _count(self, key: ApiKey) -> None:
        """A bucket of one minute's requests, which fills evenly."""
        now, (left, _) = monotonic(), self.left(key)
        if left < 1:
            wait = (1 - left) * 60 / self.per_minute
            self._buckets[key.actor] = (left, now)
            raise RateLimited(
                f"key '{key.name}' may ask {self.per_minute} times a minute",
                remedy=f"wait {wait:.0f} s",
                retry_after=wait,
            )
        self._buckets[key.actor] = (left - 1, now)


def _secret(call: Call) -> str:
    scheme, _, secret = call.header(b"authorization").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        secret = call.header(b"x-api-key")  # as Anthropic's clients send it
    if not secret.strip():
        raise Unauthenticated(
            "there is no API key", where="authorization", remedy="send 'Authorization: Bearer KEY'"
        )
    return secret.strip()
