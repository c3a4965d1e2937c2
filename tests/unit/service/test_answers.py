"""`Answers.ask` over a real collection, with a fake behind the engine seam: labels, cache, conversations."""

import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import ClassVar

import pytest

from bottega import plugins
from bottega.core.errors import InvalidValue, NotFound
from bottega.core.request import Delta, Finished, Output, Request, Usage
from bottega.engines.base import Bench
from bottega.engines.language import Language
from bottega.retrieval.answers.answer import Answer
from bottega.service import Bottega
from bottega.service.answers import Answers

DUO = "Rill Duo has a warranty of 36 months."
ASKED = "How long is the warranty of Rill Duo?"
SECRET = "The goodwill discount for customers is 15 %."


class Scribe(Language):
    """The language engine's fake: judges with Yes, else says the sentence of its sources that shares most words with the prompt."""

    card = Language.card.model_copy(update={"isolation": "thread"})
    prompts: ClassVar[list[str]] = []
    rewritten: ClassVar[str] = ""
    counted: ClassVar[tuple[int, int]] = (10, 2)  # tokens read and written, of each request

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        prompt = str(request.params["prompt"])
        self.prompts.append(prompt)
        if request.params.get("logprobs"):
            yield Delta(text="Yes", logprobs=(("Yes", -0.1), ("No", -3.0)))
            said = "Yes"
        elif "Last question:" in prompt:
            said = self.rewritten
        else:
            passages = json.loads(request.parts[0].text or "")["passages"]
            sentences = [
                line for each in passages for line in each["text"].splitlines() if line.endswith(".")
            ]
            words = set(prompt.lower().replace("?", "").split())
            said = max(sentences, key=lambda each: len(words & set(each.lower().rstrip(".").split())))
        yield Usage(input_units=self.counted[0], output_units=self.counted[1], unit="token")
        yield Finished(port="text", media_type="text/plain", data=said.encode())


@pytest.fixture
async def answers(service: Bottega, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answers:
    known = plugins.load

    def load(group: plugins.Group, name: str) -> object:
        return Scribe if name == "language" else known(group, name)

    monkeypatch.setattr(plugins, "load", load)
    Scribe.prompts.clear()
    files = {
        "open/one.md": "# One\n\nRill One has a warranty of 24 months.\n",
        "open/duo.md": f"# Duo\n\n{DUO}\n",
    }
    for name, text in {**files, "staff/goodwill.md": f"# Goodwill\n\n{SECRET}\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    collections = service.collections()
    await collections.index("help", [tmp_path / "open"], embedder="none")
    await collections.index("help", [tmp_path / "staff"], labels=["staff"])
    return service.answers()


async def test_it_answers_with_a_quote_and_the_record_keeps_no_words(
    answers: Answers, service: Bottega
) -> None:
    answer = await answers.ask(ASKED, "help")
    assert (answer.outcome, answer.text, answer.collection) == ("answered", DUO, "help")
    assert answer.judge.endswith("yes/no") and answer.model.startswith("qwen")
    journal = service.shop.journal
    told = [entry.decode() for _, entry, _ in journal.entries(0, journal.size()) if b"answer:given" in entry]
    assert len(told) == 1 and '"outcome":"answered"' in told[0] and "warranty" not in told[0]


async def test_a_label_hides_and_nothing_tells_of_it(answers: Answers, service: Bottega) -> None:
    asked = "What is the goodwill discount for customers?"
    seen = await answers.ask(asked, "help", allowed=["staff"])
    assert seen.text == SECRET
    hidden = await answers.ask(asked, "help")
    assert (
        hidden.outcome == "abstained"
        and "oodwill" not in hidden.model_copy(update={"question": ""}).model_dump_json()
    )
    with pytest.raises(NotFound):
        answers.documents("help", [seen])


async def test_an_equal_question_is_answered_once_until_anything_changes(
    answers: Answers, service: Bottega, tmp_path: Path
) -> None:
    first = await answers.ask(ASKED, "help")
    calls = len(Scribe.prompts)
    again = await answers.ask(ASKED, "help")
    assert again.cached and again.sentences == first.sentences and len(Scribe.prompts) == calls
    assert not (await answers.ask(ASKED, "help", allowed=["staff"])).cached
    assert not (await answers.ask(ASKED, "help", model="smollm2-135m-instruct")).cached
    assert not (await answers.ask(ASKED, "help", fresh=True)).cached
    await service.collections().remove("help", ["open/duo.md"])
    gone = await answers.ask(ASKED, "help")
    assert gone.outcome == "abstained" and not gone.cached
    assert "36 months" not in _bytes(service.shop.collections / "help")


async def test_a_follow_up_is_completed_and_the_turn_remembered(answers: Answers) -> None:
    await answers.ask(ASKED, "help", session="s")
    Scribe.rewritten = "How long is the warranty of Rill One?"
    answer = await answers.ask("And of Rill One?", "help", session="s")
    assert answer.asked == Scribe.rewritten and answer.text == "Rill One has a warranty of 24 months."
    held = await answers.history("help", "s")
    assert [each.question for each in held.turns] == [ASKED, "And of Rill One?"]
    searched = await answers.history("help", "s", words="24 months")
    assert searched.turns[0].question == "And of Rill One?"
    assert (await answers.history("help", "other")).turns == ()
    assert await answers.forget("help", "s") == 2 and (await answers.history("help", "s")).count == 0


async def test_a_turn_is_for_who_has_the_labels_of_its_documents(
    answers: Answers, service: Bottega, tmp_path: Path
) -> None:
    await answers.ask("What is the goodwill discount for customers?", "help", allowed=["staff"], session="s")
    await answers.ask(ASKED, "help", allowed=["staff"], session="s")
    assert questions(await answers.history("help", "s", allowed=["staff"])) == 2
    assert questions(await answers.history("help", "s")) == 1
    before = len(Scribe.prompts)
    Scribe.rewritten = "What is the goodwill discount?"
    await answers.ask("And what is it?", "help", session="s")
    assert not any("oodwill" in prompt for prompt in Scribe.prompts[before:])
    await service.collections().index("help", [tmp_path / "open" / "duo.md"], labels=["board"])
    assert questions(await answers.history("help", "s", allowed=["staff"])) == 1


async def test_what_was_said_goes_with_the_document_it_rested_on(answers: Answers, service: Bottega) -> None:
    await answers.ask(ASKED, "help", session="s")
    await service.collections().remove("help", ["open/duo.md"])
    (turn,) = (await answers.history("help", "s")).turns
    assert (turn.outcome, turn.sentences, turn.question) == ("forgotten", (), ASKED)
    assert "36 months" not in _bytes(service.shop.collections / "help")


async def test_what_cannot_be_asked_is_said(answers: Answers) -> None:
    for question in ("  ", "x" * 2001):
        with pytest.raises(InvalidValue):
            await answers.ask(question, "help")
    with pytest.raises(NotFound):
        await answers.ask(ASKED, "nothing")


def questions(held: object) -> int:
    return len(getattr(held, "turns", ()))


def _bytes(folder: Path) -> str:
    files: Iterable[Path] = (path for path in folder.rglob("*") if path.is_file())
    return "".join(path.read_bytes().decode("utf-8", "ignore") for path in files)


def test_an_answer_is_a_value() -> None:
    answer = Answer(question="q", outcome="abstained", reason="nothing_found")
    assert Answer.model_validate(answer.document()) == answer
