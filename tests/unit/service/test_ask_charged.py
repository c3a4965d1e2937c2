"""Who pays for an answer, and under whose key it is kept; with a fake behind the engine seam."""

import sqlite3
from pathlib import Path

import pytest
from tests.unit.service.test_answers import ASKED, DUO, Scribe, answers

from bottega.core.entry import Act
from bottega.core.errors import BudgetExceeded, EngineFailed, InvalidValue, LeaseLost, NotFound, PolicyDenied
from bottega.service import Bottega
from bottega.service.answers import Answers

__all__ = ["answers"]  # the fixture

TEAM = "team:help"
NAME = "Ada Lovelace"
TOKENS = 12  # the fake's, of each request: ten read, two written
BUDGET_ACTS = (Act.BUDGET_RESERVED, Act.BUDGET_SETTLED, Act.BUDGET_REFUSED)


def ledger(service: Bottega) -> list[Act]:
    return [each.act for each in service.shop.journal.about(f"account/{TEAM}") if each.act in BUDGET_ACTS]


def tokens(service: Bottega) -> tuple[int, int]:
    (row,) = [each for each in service.budgets().all() if (each.account, each.unit) == (TEAM, "token")]
    return int(row.spent), int(row.reserved)


def kept(service: Bottega, table: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(service.shop.collections / "help" / "collection.sqlite") as db:
        return db.execute(f"SELECT * FROM {table}").fetchall()


def holding(folder: Path, *words: str) -> set[str]:
    """Names of the files in which one of the words stands."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name for path in files if any(word.encode() in path.read_bytes() for word in words)}


async def test_every_request_is_reserved_before_the_engine_hears_it_and_settled_after(
    answers: Answers, service: Bottega, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Act]] = []
    known = Scribe.generate

    def generate(self: Scribe, *given: object) -> object:
        seen.append(ledger(service))
        return known(self, *given)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Scribe, "generate", generate)
    answer = await answers.ask(ASKED, "help", charge=[TEAM, TEAM])
    assert answer.text == DUO
    calls = len(Scribe.prompts)
    both = [Act.BUDGET_RESERVED, Act.BUDGET_SETTLED]
    assert calls >= 2 and seen == [both * n + both[:1] for n in range(calls)]
    assert ledger(service) == both * calls
    assert tokens(service) == (TOKENS * calls, 0)
    assert (await answers.ask(ASKED, "help", charge=[TEAM])).cached
    assert tokens(service) == (TOKENS * calls, 0)  # what is known costs nothing
    service.state.fold_again()
    assert service.runs() == []
    said = [str(entry.detail) for entry in service.shop.journal.about()]
    assert not any("arranty" in each for each in said)  # neither question nor answer


async def test_a_limit_refuses_before_the_engine_is_asked(answers: Answers, service: Bottega) -> None:
    service.budgets().set(TEAM, "token", 5)
    with pytest.raises(BudgetExceeded, match="team:help has 5 token left") as refused:
        await answers.ask(ASKED, "help", charge=[TEAM])
    assert "budget set" in refused.value.remedy
    assert Scribe.prompts == [] and ledger(service) == [Act.BUDGET_REFUSED]
    assert kept(service, "answers") == []
    assert tokens(service) == (0, 0)
    with pytest.raises(InvalidValue, match="no account"):
        await answers.ask(ASKED, "help", charge=["help"])
    assert (await answers.ask(ASKED, "help")).text == DUO  # nobody pays


async def test_what_was_spent_before_a_limit_is_reached_stays_spent(
    answers: Answers, service: Bottega, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.budgets().set(TEAM, "token", 2000, near=1)
    monkeypatch.setattr(Scribe, "counted", (1990, 5))  # the draft takes all but five
    with pytest.raises(BudgetExceeded, match="has 5 token left"):
        await answers.ask(ASKED, "help", charge=[TEAM], session="s")
    assert len(Scribe.prompts) == 1 and tokens(service) == (1995, 0)
    assert kept(service, "answers") == []
    assert (await answers.history("help", "s")).count == 0


async def test_an_engine_that_fails_leaves_nothing_reserved(
    answers: Answers, service: Bottega, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(self: Scribe, *given: object) -> object:
        raise EngineFailed("broke at 36 months")

    monkeypatch.setattr(Scribe, "generate", generate)
    with pytest.raises(EngineFailed):
        await answers.ask(ASKED, "help", charge=[TEAM])
    assert tokens(service) == (0, 0) and ledger(service) == [Act.BUDGET_RESERVED, Act.BUDGET_SETTLED]
    assert not any("36 months" in str(each.detail) for each in service.shop.journal.about())


async def test_what_is_about_a_person_is_sealed_and_gone_with_the_key(
    answers: Answers, service: Bottega, tmp_path: Path
) -> None:
    private = "Which warranty has the Rill Duo of Lovelace, of 12 Square?"
    question = ASKED
    answer = await answers.ask(question, "help", data_subject=NAME, session="lovelace-1", charge=[TEAM])
    assert answer.text == DUO
    await answers.ask(private, "help", data_subject=NAME, session="lovelace-1")
    other = await answers.ask(question, "help", session="s")
    assert not other.cached  # a person's answer is nobody else's
    assert (await answers.ask(question, "help", data_subject=NAME)).cached
    held = await answers.history("help", "lovelace-1", data_subject=NAME)
    assert [each.question for each in held.turns] == [question, private] and held.turns[0].sentences
    assert (await answers.history("help", "lovelace-1")).count == 0
    assert holding(tmp_path / "state", NAME, "Lovelace", "lovelace", "12 Square") == set()
    holder = service.privacy.holder_of(NAME)
    for table in ("answers", "turns"):
        assert not any(
            "arranty" in str(value) or "Rill Duo" in str(value)
            for row in kept(service, table)
            if holder in row
            for value in row
        )
    entry = service.shop.journal.about("collection/help")
    assert [bool(each.sealed) for each in entry if each.act is Act.ANSWER_GIVEN] == [True, True, False, True]

    service.privacy.erase(NAME, why="asked for it")
    for table in ("answers", "turns"):
        rows = kept(service, table)
        assert rows and not any(holder in row for row in rows)  # the others' stay
    assert (await answers.history("help", "s")).count == 1
    for again in (
        answers.ask(question, "help", data_subject=NAME),
        answers.history("help", "lovelace-1", data_subject=NAME),
        answers.forget("help", "lovelace-1", data_subject=NAME),
    ):
        with pytest.raises(PolicyDenied, match="was erased"):
            await again
    assert tokens(service)[0] > 0  # an account still adds up
    service.state.fold_again()


async def test_a_person_s_conversation_can_be_forgotten_and_loses_what_a_document_said(
    answers: Answers, service: Bottega
) -> None:
    await answers.ask(ASKED, "help", data_subject=NAME, session="s")
    await service.collections().remove("help", ["open/duo.md"])
    (turn,) = (await answers.history("help", "s", data_subject=NAME)).turns
    assert (turn.outcome, turn.sentences, turn.asked, turn.question) == ("forgotten", (), "", ASKED)
    assert await answers.forget("help", "s") == 0
    assert await answers.forget("help", "s", data_subject=NAME) == 1
    with pytest.raises(NotFound):
        await answers.history("help", "s", data_subject="Nobody")


async def test_an_erasure_ends_an_answer_that_is_being_made(
    answers: Answers, service: Bottega, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Scribe.generate

    def generate(self: Scribe, *given: object) -> object:
        service.privacy.erase(NAME, why="asked for it")
        return known(self, *given)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Scribe, "generate", generate)
    with pytest.raises(LeaseLost):
        await answers.ask(ASKED, "help", data_subject=NAME, session="s", charge=[TEAM])
    assert kept(service, "answers") == kept(service, "turns") == []
    assert tokens(service)[1] == 0


async def test_an_erasure_ends_an_answer_for_which_nobody_pays(
    answers: Answers, service: Bottega, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Scribe.generate

    def generate(self: Scribe, *given: object) -> object:
        service.privacy.erase(NAME, why="asked for it")
        return known(self, *given)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Scribe, "generate", generate)
    with pytest.raises(PolicyDenied):
        await answers.ask(ASKED, "help", data_subject=NAME, session="s")
    assert kept(service, "answers") == kept(service, "turns") == []


async def test_after_an_erasure_others_are_answered_by_the_same_process(
    answers: Answers, service: Bottega
) -> None:
    assert (await answers.ask(ASKED, "help", data_subject=NAME)).text == DUO
    service.privacy.erase(NAME, why="asked for it")
    assert (await answers.ask(ASKED, "help")).text == DUO
    assert (await answers.ask(ASKED, "help", data_subject="Grace Hopper", charge=[TEAM])).text == DUO
