"""Whoever asks what a collection remembers gets what was kept for that person and nobody else, and an erasure takes just that."""

import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.core.errors import PolicyDenied
from bottega.governance.keyring import KeyRing
from bottega.governance.seal import Vault
from bottega.retrieval.collections.memory import Memory, erase
from bottega.retrieval.collections.schema import FILE
from bottega.retrieval.collections.store import Store

PEOPLE = ("", "ada", "grace")
SECRET = "nobody shall read "

ask = st.tuples(st.just("ask"), st.sampled_from(PEOPLE), st.sampled_from("ab"), st.integers(0, 9))
act = st.one_of(
    ask,
    st.tuples(st.just("forget"), st.sampled_from(PEOPLE), st.sampled_from("ab"), st.just(0)),
    st.tuples(st.just("erase"), st.sampled_from(PEOPLE[1:]), st.just(""), st.just(0)),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(act, max_size=10))
def test_everybody_sees_his_own_and_an_erasure_takes_just_that(
    acts: list[tuple[str, str, str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        collections, ring = Path(folder) / "collections", KeyRing(Path(folder) / "keys")
        store = Store(collections / "help")
        vaults: dict[str, Vault | None] = {"": None}
        for name in PEOPLE[1:]:
            ring.key(name, create=True)
            vaults[name] = Vault(ring, ring.pseudonym(name))
        memories = {name: Memory(store, vault) for name, vault in vaults.items()}
        answers: dict[tuple[str, str], str] = {}
        turns: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        gone: set[str] = set()
        for what, who, session, n in acts:
            memory, words = memories[who], f"{SECRET}{who}{n}"
            if what == "erase":
                ring.destroy(who)
                erase(collections, ring.pseudonym(who))
                gone.add(who)
                for kept in (answers, turns):
                    for key in [key for key in kept if key[0] == who]:
                        del kept[key]
                continue
            try:
                if what == "forget":
                    assert memory.forget("me", session) == len(turns.pop((who, session), []))
                    continue
                memory.keep(session, words, frozenset(), 0)
                memory.remember(
                    "me", session, "now", question=words, asked=words, outcome="answered", said=words, documents=()
                )  # fmt: skip
                answers[who, session] = words
                turns[who, session].append(words)
                assert who not in gone
            except PolicyDenied:
                assert who in gone
        for who, memory in memories.items():
            for session in "ab":
                if who in gone:
                    continue
                assert memory.answer(session) == answers.get((who, session), "")
                held = memory.turns("me", session, frozenset())
                assert [(each.question, each.asked, each.said) for each in held] == [
                    (words,) * 3 for words in turns[who, session]
                ]
                assert memory.turns("you", session, frozenset()) == []
        store.scrub()
        data = (collections / "help" / FILE).read_bytes()
        assert not any(f"{SECRET}{who}".encode() in data for who in PEOPLE[1:])
        rows = store.rows("SELECT holder FROM turns UNION ALL SELECT holder FROM answers")
        assert not {holder for (holder,) in rows} & {ring.pseudonym(who) for who in gone}
        store.close()
