"""API keys: who may call over HTTP, as what, and which accounts pay."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from bottega.core.entry import Act
from bottega.core.errors import InvalidValue, KeyReused, NotFound
from bottega.service.projects import Projects, paying
from bottega.storage.budgets import named
from bottega.storage.database import Transaction
from bottega.storage.state import State

Role = Literal["admin", "developer", "reviewer", "auditor", "viewer"]
ROLES: tuple[Role, ...] = get_args(Role)
PREFIX = "btg_"  # so that scanners for leaked secrets can tell what they found
COLUMNS = (
    "api_keys.id, name, role, charge, created_at, expires_at, revoked_at, project, labels, projects.team, projects.closed "
    "FROM api_keys LEFT JOIN projects ON projects.id = project"
)


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret. ``expires_at`` and ``revoked_at`` are RFC 3339, empty when never.

    Of a key of a project, the accounts of project and team stand in ``charge``, too, and its role counts there alone.
    ``labels`` are those of documents that it may see. A ``user`` is a person for the time of a token, without an id.
    """

    id: str
    name: str
    role: Role
    charge: tuple[str, ...] = ()
    created_at: str = ""
    expires_at: str = ""
    revoked_at: str = ""
    project: str = ""
    labels: tuple[str, ...] = ()
    kind: Literal["key", "user"] = "key"
    closed: bool = False  # its project is

    @property
    def actor(self) -> str:
        """Who acts, for the record; the same name in two projects is two actors."""
        return f"{self.kind}:{self.project}/{self.name}" if self.project else f"{self.kind}:{self.name}"

    @property
    def owner(self) -> str:
        """Whose idempotency keys and conversations these are."""
        return self.actor.removeprefix("key:")

    def state(self, now: str) -> Literal["active", "expired", "revoked", "of a closed project"]:
        """Whether it may be used at a time."""
        if self.revoked_at:
            return "revoked"
        if self.closed:
            return "of a closed project"
        return "expired" if self.expires_at and self.expires_at <= now else "active"


class Keys:
    """Creates, finds and revokes keys. A key is 256 random bits; only its SHA-256 is kept."""

    def __init__(self, state: State, actor: str) -> None:
        self._state = state
        self._actor = actor
        self._projects = Projects(state, actor)

    def now(self) -> str:
        """The time by which keys expire, RFC 3339."""
        return self._state.journal.now()

    def create(
        self,
        name: str,
        *,
        role: str = "developer",
        charge: Sequence[str] = (),
        expires: str = "",
        project: str = "",
        labels: Sequence[str] = (),
        key_id: str = "",
    ) -> tuple[ApiKey, str]:
        """Make a key; the second value is the secret, which is never told again. Durable when this returns.

        Several keys may have one name: that is how a key is exchanged without a pause.

        Args:
            name: whose it is; stands in the record as ``key:NAME``.
            role: one of `ROLES`.
            charge: budget accounts that pay for its calls, each in full, such as ``project:kettles``.
            expires: a date or an RFC 3339 time; a time without an offset is in UTC. Empty: never.
            project: where it counts; project and team pay as well.
            labels: of documents that it may see in collections.
            key_id: what the record calls it, where who asks may ask again; a new one when empty.

        Raises:
            InvalidValue: naming the field.
            NotFound: there is no such project.
            PolicyDenied: the project is closed.
            KeyReused: the id is taken: the key was made, and its secret is not known any more.
        """
        _name(name)
        if role not in ROLES:
            raise InvalidValue(f"'{role}' is no role", where="role", remedy=f"one of: {', '.join(ROLES)}")
        detail: dict[str, Any] = {"name": name, "role": role}
        if charge:
            detail["charge"] = [named(account) for account in charge]
        if project:
            self._projects.open(project)
            detail["project"] = project
        if labels:
            from bottega.service.collections import labelled  # numpy and more, which few keys need

            detail["labels"] = sorted(labelled(labels))
        if expires:
            detail["expires_at"] = self._later(expires)
        secret, new = PREFIX + secrets.token_urlsafe(32), key_id or f"key-{secrets.token_hex(6)}"
        detail["secret"] = hashed(secret)

        def work(transaction: Transaction) -> None:
            if transaction.execute("SELECT 1 FROM api_keys WHERE id = ?", (new,)).fetchone():
                raise KeyReused(
                    f"key '{new}' was made under this idempotency key, and its secret was told once",
                    where="idempotency-key", remedy="revoke it, and make another under a new one",
                )  # fmt: skip
            self._state.journal.append(
                transaction, Act.KEY_CREATED, f"key/{new}", actor=self._actor, detail=detail
            )

        self._state.database.write(work, durable=True)
        return self.get(new), secret

    def all(self) -> list[ApiKey]:
        """Every key, oldest first, those that may not be used any more among them."""
        rows = self._state.database.rows(f"SELECT {COLUMNS} ORDER BY created_at, api_keys.id")
        return [_key(row) for row in rows]

    def get(self, key_id: str) -> ApiKey:
        """A key by its id.

        Raises:
            NotFound: there is none.
        """
        rows = self._state.database.rows(f"SELECT {COLUMNS} WHERE api_keys.id = ?", key_id)
        if not rows:
            raise NotFound(f"no key '{key_id}'", where="key", remedy="`bottega keys list` shows them")
        return _key(rows[0])

    def find(self, secret: str) -> ApiKey | None:
        """The key of a secret, in whatever state; None for a foreign one."""
        if not secret.startswith(PREFIX):
            return None
        rows = self._state.database.rows(f"SELECT {COLUMNS} WHERE secret = ?", hashed(secret))
        return _key(rows[0]) if rows else None

    def revoke(self, which: str, *, why: str = "") -> list[ApiKey]:
        """Revoke the key with this id, or all active ones of this name; from now on they are refused.

        Raises:
            NotFound: no active key is called so.
        """
        now = self._state.journal.now()
        found = [key for key in self.all() if which in (key.id, key.name) and key.state(now) != "revoked"]
        if not found:
            raise NotFound(
                f"no key '{which}' to revoke", where="key", remedy="`bottega keys list` shows them"
            )

        def work(transaction: Transaction) -> None:
            for key in found:
                self._state.journal.append(
                    transaction, Act.KEY_REVOKED, f"key/{key.id}", actor=self._actor, why=why
                )

        self._state.database.write(work, durable=True)
        return [self.get(key.id) for key in found]

    def _later(self, text: str) -> str:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise InvalidValue(
                f"'{text}' is no time", where="expires", remedy="write 2027-01-31 or 2027-01-31T18:00:00Z"
            ) from error
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        told = f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"
        if told <= self._state.journal.now():
            raise InvalidValue(f"'{text}' is past", where="expires", remedy="give a later time")
        return told


def hashed(secret: str) -> str:
    """What is kept of a secret. It is 256 random bits, so one round of SHA-256 cannot be guessed back."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _name(name: str) -> None:
    if not 0 < len(name) <= 64 or not all(c.isalnum() or c in "-_.@" for c in name):
        raise InvalidValue(
            f"'{name}' cannot name a key", where="name", remedy="1 to 64 letters, digits, or any of - _ . @"
        )


def _key(row: Any) -> ApiKey:
    key_id, name, role, charge, created_at, expires_at, revoked_at, project, labels, team, closed = row
    return ApiKey(
        key_id, name, role, paying(json.loads(charge), project, team or ""), created_at, expires_at, revoked_at,
        project, tuple(json.loads(labels)), closed=bool(closed),
    )  # fmt: skip
