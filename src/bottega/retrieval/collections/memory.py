"""What a collection remembers of answers: equal questions, and conversations. It lies with the documents, so that it goes with them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bottega.governance.seal import Vault
from bottega.retrieval.collections.schema import FILE
from bottega.retrieval.collections.store import Labels, Store, alone, marks

if TYPE_CHECKING:
    from bottega.retrieval.collections.server import Server

FORGOTTEN = "forgotten"


@dataclass(frozen=True)
class Remembered:
    """One turn. ``said`` is JSON of sentences; ``outcome`` is ``forgotten`` when a document that it rested on was taken out."""

    id: int
    at: str
    question: str
    asked: str
    outcome: str
    said: str
    documents: tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """Cached answers and turns, in the collection's database.

    Cached answers are deleted by the transaction that changes a document which their asker may see. A turn lasts; taking out a document that it rests on
    deletes what was said, in the same transaction. With a ``vault`` all of it is about one data subject: it sees only what was
    kept with its vault, and what it keeps is sealed.

    Not covered: owner and session of a data subject's turns are keyed names, but how many turns there are, when they were
    made and on which documents they rest can be seen.
    """

    store: Store
    vault: Vault | None = None

    @property
    def holder(self) -> str:
        """The data subject's pseudonym; empty for nobody in particular."""
        return self.vault.holder if self.vault else ""

    def answer(self, key: str) -> str:
        """The cached answer as JSON; empty when there is none, or what it could rest on has changed."""
        rows = self.store.rows(
            "SELECT answer FROM answers WHERE key = ? AND holder = ?", self._name(key), self.holder
        )
        return self._opened(str(rows[0][0])) if rows else ""

    def keep(self, key: str, answer: str, labels: Labels, since: int) -> None:
        """Cache an answer for somebody with these labels, unless what he may see has changed since (`Store.last_change`)."""
        row = (self._name(key), self._closed(answer), json.dumps(sorted(labels)), self.holder)
        with self.store.transaction(durable=False) as db:
            alone(db)
            if self.store.last_change(labels) == since:
                db.execute(
                    "INSERT INTO answers (key, answer, labels, holder) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET answer = excluded.answer, holder = excluded.holder",
                    row,
                )

    def turns(self, owner: str, session: str, allowed: Labels) -> list[Remembered]:
        """The owner's turns of a session, oldest first, that somebody with these labels may see now.

        A turn is visible to who has all labels that its documents had when it was made, and those that they have now.
        """
        owner, session = self._whose(owner, session)
        rows = self.store.rows(
            "SELECT id, at, question, asked, outcome, said, labels FROM turns WHERE owner = ? AND session = ? AND holder = ? "
            "ORDER BY id",
            owner,
            session,
            self.holder,
        )
        rests = self.store.rows(
            "SELECT turn, document, documents.labels FROM rests_on JOIN documents ON documents.id = document "
            "JOIN turns ON turns.id = turn WHERE owner = ? AND session = ?",
            owner,
            session,
        )
        found: list[Remembered] = []
        for id_, at, question, asked, outcome, said, labels in rows:
            under = [(document, json.loads(now)) for turn, document, now in rests if turn == id_]
            needed = set(json.loads(labels)).union(*(now for _, now in under))
            if needed <= allowed:
                documents = tuple(document for document, _ in under)
                if outcome != FORGOTTEN:  # the trigger that forgets writes plain emptiness
                    asked, said = self._opened(asked), self._opened(said)
                question = self._opened(question)
                found.append(Remembered(id_, at, question, asked, outcome, said, documents))
        return found

    def remember(
        self,
        owner: str,
        session: str,
        at: str,
        *,
        question: str,
        asked: str,
        outcome: str,
        said: str,
        documents: Iterable[int],
    ) -> None:
        """Keep a turn, durably; what rests on a document that is gone meanwhile is not kept with it."""
        wanted = sorted(set(documents))
        owner, session = self._whose(owner, session)
        question, asked, said = map(self._closed, (question, asked, said))
        with self.store.transaction() as db:
            rows = db.execute(
                f"SELECT id, labels FROM documents WHERE state = 'indexed' AND id IN ({marks(wanted)})",
                wanted,
            ).fetchall()
            if len(rows) < len(wanted):
                asked, outcome, said = "", FORGOTTEN, "[]"
            labels = json.dumps(sorted({label for _, each in rows for label in json.loads(each)}))
            turn = db.execute(
                "INSERT INTO turns (owner, session, at, labels, question, asked, outcome, said, holder) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (owner, session, at, labels, question, asked, outcome, said, self.holder),
            ).fetchone()[0]
            for document, _ in rows:
                db.execute("INSERT INTO rests_on VALUES (?, ?)", (turn, document))

    def forget(self, owner: str, session: str) -> int:
        """Delete a conversation; gives the number of its turns."""
        owner, session = self._whose(owner, session)
        with self.store.transaction() as db:
            count = db.execute(
                "DELETE FROM turns WHERE owner = ? AND session = ? AND holder = ?",
                (owner, session, self.holder),
            ).rowcount
        self.store.scrub()
        return int(count)

    def _whose(self, owner: str, session: str) -> tuple[str, str]:
        """Owner and session as the table names them."""
        if self.vault is None:
            return owner, session
        return self._name(owner), self._name(json.dumps([owner, session]))

    def _name(self, text: str) -> str:
        return self.vault.name(text) if self.vault else text

    def _closed(self, text: str) -> str:
        return self.vault.close(text) if self.vault else text

    def _opened(self, text: str) -> str:
        return self.vault.open(text) if self.vault else text


def erase(folder: Path, holder: str, server: "Server | None" = None) -> None:
    """Delete what every collection under ``folder``, or on the server, remembers of a data subject.

    Raises:
        StorageFailed: a collection cannot be written.
    """
    places = (
        [folder / name for name in server.names()]
        if server
        else sorted(file.parent for file in folder.glob(f"*/{FILE}"))
    )
    for place in places:
        store = Store(place, server)
        try:
            with store.transaction() as db:
                for table in ("answers", "turns"):
                    db.execute(f"DELETE FROM {table} WHERE holder = ?", (holder,))
            store.scrub()
        finally:
            store.close()
    if server:
        server.close()
