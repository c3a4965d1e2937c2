"""Earlier turns of a conversation: they complete a question that leans on them, are summed up with their citations, and can be searched."""

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from bottega.core.passage import Passage
from bottega.core.value import Value
from bottega.retrieval.answers.answer import Outcome, Sentence
from bottega.retrieval.answers.coverage import content_words
from bottega.retrieval.answers.leaning import points_back
from bottega.retrieval.answers.writing import Ask, rewrite_request
from bottega.retrieval.lexical import Lexical
from bottega.retrieval.words import guess_language

RECENT = 4  # turns that stay as they were said; older ones are summed up
REWRITTEN_FROM = 2  # turns that the model sees when it completes a question
SUMMARY_WORDS = 160
SHORT = 4  # words of a reply to a question back


class Turn(Value, frozen=True):
    """A question and what was said to it; ``forgotten`` when a document that it rested on was taken out."""

    at: str
    question: str
    asked: str = ""
    outcome: Outcome | Literal["forgotten"]
    sentences: tuple[Sentence, ...] = ()

    @property
    def complete(self) -> str:
        """The question as it can be understood alone."""
        return self.asked or self.question


class Conversation(Value, frozen=True):
    """What somebody may see of a conversation: the last turns, and the older ones as sentences with their citations."""

    session: str
    turns: tuple[Turn, ...] = ()
    summary: tuple[Sentence, ...] = ()
    count: int = Field(default=0, description="turns in all that he may see")


def conversation(session: str, turns: Sequence[Turn]) -> Conversation:
    """The last turns whole, and what was borne out in the older ones: cited sentences, nothing written anew."""
    older, recent = turns[:-RECENT], turns[-RECENT:]
    return Conversation(session=session, turns=tuple(recent), summary=summary(older), count=len(turns))


def summary(turns: Sequence[Turn]) -> tuple[Sentence, ...]:
    """The first cited sentence of each turn, each once, in their order: the oldest of all, then the newest as long as they fit."""
    firsts: dict[str, Sentence] = {}
    for turn in turns:
        first = next((each for each in turn.sentences if each.citations and not each.problem), None)
        if first:
            firsts.setdefault(first.text, first)
    left = SUMMARY_WORDS
    kept: set[str] = set()
    newest = list(reversed(firsts))
    for text in [*firsts][:1] + newest:  # what a conversation began with is what it is about
        if text not in kept and len(text.split()) <= left:
            kept.add(text)
            left -= len(text.split())
    return tuple(sentence for text, sentence in firsts.items() if text in kept)


def find(turns: Sequence[Turn], words: str) -> list[Turn]:
    """Turns that hold these words, best first (BM25)."""
    passages = [
        Passage(id=str(n), source="turns", sha256="", page=1, start=0, end=0, text=_text(turn))
        for n, turn in enumerate(turns)
    ]
    return [turns[int(each.passage.id)] for each in Lexical(passages).rank(words)]


def leans(question: str, last: Turn) -> bool:
    """Whether a question needs an earlier turn to be understood.

    It begins in the middle, points back or names nothing; or it is the short reply to a question back.
    """
    replies = last.outcome == "asks_back" and len(question.split()) <= SHORT
    languages = {
        guess_language([question]),
        guess_language([question, last.complete]),
    }  # few words say little
    return (
        replies
        or any(points_back(question, language) for language in languages)
        or not content_words(question)
    )


async def standalone(question: str, turns: Sequence[Turn], ask: Ask, model: str) -> str:
    """The question with what it leans on; the model may only use words of the conversation.

    When it brings words of its own, or loses words of the question, the last question and this one are put together instead.
    """
    recent = turns[-REWRITTEN_FROM:]
    history = [(turn.complete, " ".join(each.text for each in turn.sentences)) for turn in recent]
    older = " ".join(each.text for each in summary(turns[:-REWRITTEN_FROM]))
    said = (await ask(rewrite_request(question, history, model, earlier=older))).text.strip().strip('"')
    line = next((each.strip() for each in said.splitlines() if each.strip()), "")
    line = re.sub(
        r"^(?:(?:last |rewritten )?question|frage|pregunta|domanda)\s*:\s*", "", line, flags=re.IGNORECASE
    )
    conversation_words = content_words(
        " ".join([question, older, *(text for pair in history for text in pair)])
    )
    words = content_words(line)
    if words and words.keys() <= conversation_words.keys() and content_words(question).keys() <= words.keys():
        return line if line.endswith("?") else f"{line.rstrip('.')}?"
    return f"{recent[-1].complete} {question}"


def _text(turn: Turn) -> str:
    return " ".join([turn.question, turn.asked, *(each.text for each in turn.sentences)])
