"""What a collection remembers of answers: equal questions, and conversations. It lies with the documents, so that it goes with them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from bottega.retrieval.collections.store import Labels, Store


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

    Cached answers are deleted by the transaction that changes the generation. A turn lasts; taking out a document that it rests on
    deletes what was said, in the same transaction.
    """

    store: Store

    def answer(self, key: str) -> str:
        """The cached answer as JSON; empty when there is none for this generation."""
        rows = self.store.rows("SELECT answer FROM answers WHERE key = ?", key)
        return str(rows[0][0]) if rows else ""

    def keep(self, key: str, answer: str, generation: int) -> None:
        """Cache an answer made from this generation, unless the collection has changed meanwhile."""
        with self.store.transaction(durable=False) as db:
            db.execute(
                "INSERT OR REPLACE INTO answers SELECT ?, ? FROM state WHERE generation = ?",
                (key, answer, generation),
            )

    def turns(self, owner: str, session: str, allowed: Labels) -> list[Remembered]:
        """The owner's turns of a session, oldest first, that somebody with these labels may see now.

        A turn is visible to who has all labels that its documents had when it was made, and those that they have now.
        """
        rows = self.store.rows(
            "SELECT id, at, question, asked, outcome, said, labels FROM turns WHERE owner = ? AND session = ? ORDER BY id",
            owner,
            session,
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
        with self.store.transaction() as db:
            rows = db.execute(
                "SELECT id, labels FROM documents WHERE state = 'indexed' AND id IN (SELECT value FROM json_each(?))",
                (json.dumps(wanted),),
            ).fetchall()
            if len(rows) < len(wanted):
                asked, outcome, said = "", "forgotten", "[]"
            labels = json.dumps(sorted({label for _, each in rows for label in json.loads(each)}))
            turn = db.execute(
                "INSERT INTO turns (owner, session, at, labels, question, asked, outcome, said) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (owner, session, at, labels, question, asked, outcome, said),
            ).lastrowid
            db.executemany("INSERT INTO rests_on VALUES (?, ?)", [(turn, document) for document, _ in rows])

    def forget(self, owner: str, session: str) -> int:
        """Delete a conversation; gives the number of its turns."""
        with self.store.transaction() as db:
            count = db.execute("DELETE FROM turns WHERE owner = ? AND session = ?", (owner, session)).rowcount
        self.store.scrub()
        return int(count)
