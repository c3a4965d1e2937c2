"""What a collection remembers lies in its database, and an older one learns to remember."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.collecting import Shelved

from bottega.retrieval.collections.collection import NOBODY
from bottega.retrieval.collections.memory import Memory
from bottega.retrieval.collections.schema import FILE, VERSION
from bottega.retrieval.collections.store import Store


def test_a_collection_of_the_first_format_is_upgraded_when_it_is_opened(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        for table in ("answers", "changes", "rests_on", "turns"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 1")
    db.close()
    store = Store(tmp_path)
    memory = Memory(store)
    memory.keep("key", "{}", NOBODY, 0)
    assert memory.answer("key") == "{}"
    assert store.rows("PRAGMA user_version")[0][0] == VERSION
    store.close()


def test_an_answer_made_from_an_older_generation_is_not_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    memory = Memory(store)
    before = store.last_change(NOBODY)
    memory.keep("first", "{}", NOBODY, before)
    document = store.begin("0" * 64, "text/plain", 1, NOBODY)
    store.finish(document, "a", "a", 1, ())
    assert memory.answer("first") == ""
    memory.keep("late", "{}", NOBODY, before)
    assert memory.answer("late") == ""
    store.close()


def test_a_change_of_a_hidden_document_leaves_an_answer_as_it_is(either: Shelved) -> None:
    hidden = either.write("hr.md", "The salary of the heron.")
    public = either.write("a.md", "The kettle is green.")
    either.index(public)
    with closing(either.open()) as reader:
        hr, before = frozenset({"hr"}), {who: reader.last_change(who) for who in (NOBODY, frozenset({"hr"}))}
        for who, since in before.items():
            reader.memory.keep(str(sorted(who)), "{}", who, since)
        either.index(hidden, labels={"hr"})
        assert reader.memory.answer("[]") == "{}" and reader.memory.answer("['hr']") == ""
        assert reader.last_change(NOBODY) == before[NOBODY] and reader.last_change(hr) > before[hr]
        reader.memory.keep("late", "{}", NOBODY, before[NOBODY])
        either.remove("hr.md")
        assert reader.memory.answer("late") == "{}"
        either.index(public, labels={"hr"})
        assert reader.memory.answer("[]") == reader.memory.answer("late") == ""


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
