"""What a collection remembers lies in its database, and an older one learns to remember."""

import sqlite3
from pathlib import Path

from bottega.retrieval.collections.memory import Memory
from bottega.retrieval.collections.schema import FILE, VERSION
from bottega.retrieval.collections.store import Store


def test_a_collection_of_the_first_format_is_upgraded_when_it_is_opened(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        for table in ("answers", "rests_on", "turns"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 1")
    db.close()
    store = Store(tmp_path)
    memory = Memory(store)
    memory.keep("key", "{}", store.generation)
    assert memory.answer("key") == "{}"
    assert store.rows("PRAGMA user_version")[0][0] == VERSION
    store.close()


def test_an_answer_made_from_an_older_generation_is_not_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    memory = Memory(store)
    before = store.generation
    memory.keep("first", "{}", before)
    store.remove([])
    assert memory.answer("first") == ""
    memory.keep("late", "{}", before)
    assert memory.answer("late") == ""
    store.close()


def test_a_turn_whose_document_is_gone_meanwhile_is_forgotten_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    memory = Memory(store)
    memory.remember(
        "ada", "s", "t", question="q", asked="a", outcome="answered", said='["secret"]', documents=[7]
    )
    (turn,) = memory.turns("ada", "s", frozenset())
    assert (turn.outcome, turn.said, turn.asked, turn.question) == ("forgotten", "[]", "", "q")
    assert memory.turns("eve", "s", frozenset()) == []
    store.close()
