"""The append-only record: each entry carries the hash of the one before."""

import sqlite3

from bottega.core.artifact import AuditEvent
from bottega.core.canonical import digest_bytes
from bottega.core.errors import Tampered
from bottega.core.value import JsonObject
from bottega.storage.database import Database

GENESIS = "0" * 64


class Record:
    """What happened, in order. Acts follow ``source:act``.

    Not covered here: truncation at the end and a whole chain recomputed by somebody who can write the
    database; both need a checkpoint kept elsewhere.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(
        self, at: str, actor: str, act: str, subject: str, detail: JsonObject | None = None
    ) -> AuditEvent:
        """Write one entry; durable when this returns."""
        with self._database.transaction() as connection:
            previous = _last_hash(connection)
            event = AuditEvent(
                at=at, actor=actor, act=act, subject=subject, detail=detail or {}, previous=previous
            )
            text = event.canonical()
            connection.execute(
                "INSERT INTO record (event, hash) VALUES (?, ?)", (text.decode(), digest_bytes(text))
            )
        return event

    def events(self, subject: str = "") -> list[AuditEvent]:
        """All entries, or those about one subject, oldest first."""
        rows = self._database.rows("SELECT event FROM record ORDER BY sequence")
        events = [AuditEvent.model_validate_json(text) for (text,) in rows]
        return [event for event in events if not subject or event.subject == subject]

    def verify(self) -> int:
        """Walk the chain and return its length.

        Raises:
            Tampered: naming the first entry that was edited, removed or moved.
        """
        previous = GENESIS
        rows = self._database.rows("SELECT event, hash FROM record ORDER BY sequence")
        for number, (text, stored) in enumerate(rows, start=1):
            event = AuditEvent.model_validate_json(text)
            if event.previous != previous:
                raise Tampered(f"entry {number} does not follow the entry before it", where="record")
            previous = digest_bytes(event.canonical())
            if stored != previous:
                raise Tampered(f"entry {number} was changed after it was written", where="record")
        return len(rows)


def _last_hash(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT hash FROM record ORDER BY sequence DESC LIMIT 1").fetchone()
    return row[0] if row else GENESIS
