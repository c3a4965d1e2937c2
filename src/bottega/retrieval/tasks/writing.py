"""How a language task asks the language engine, and cuts a text to what one request can hold."""

import json
import re
from collections.abc import Iterator
from typing import Any

from bottega.core.request import Delta, Finished, Part, Progress, Request, Usage
from bottega.engines.base import Bench
from bottega.engines.language import Language
from bottega.retrieval.chunk import count_words
from bottega.retrieval.sentences import sentence_spans

ENCODERS = ("arctic-embed-s", "potion-base-8m", "use-multilingual")  # models that read and do not write
WINDOW = 900  # words that go into one request
FEWEST = 4  # words: a shorter line is a heading

_GOES_ON = re.compile(r"(?<!\n)(?<!^)([^\n#|`>])\n(?=[ \t]*(?:[^\s#|`>*•–-]|-\S))(?![ \t]*\d+[.)]\s)")


class Writer:
    """The language engine inside another engine: one request after the other, through the engine seam.

    ``used`` adds up the tokens of all requests since `begin`.
    """

    def __init__(self) -> None:
        self._language = Language()
        self.used = Usage(unit="token")

    def begin(self) -> None:
        """Count from nothing."""
        self.used = Usage(unit="token")

    async def say(self, asked: Request, text: str, bench: Bench, **params: Any) -> str:
        """The answer to a prompt about a text, with the model and the seed of the request that is being served."""
        said, _ = await self.weigh(asked, text, bench, **params)
        return said.strip()

    async def weigh(
        self, asked: Request, text: str, bench: Bench, **params: Any
    ) -> tuple[str, tuple[tuple[str, float], ...]]:
        """As `say`, with the log-probabilities of the first token when ``logprobs`` asks for them."""
        request = Request(
            engine="language",
            model=asked.model,
            parts=(Part(port="text", text=text),),
            params={"media_type": "text/plain", **params},
            seed=asked.seed,
        )
        said, first = b"", tuple[tuple[str, float], ...]()
        async for output in self._language.generate(request, bench):
            match output:
                case Delta():
                    first = first or output.logprobs
                case Usage():
                    self.used = Usage(
                        input_units=self.used.input_units + output.input_units,
                        output_units=self.used.output_units + output.output_units,
                        unit="token",
                    )
                case Finished():
                    said = output.data or b""
                case _:
                    assert isinstance(output, Progress) or output
        return said.decode(), first

    async def fill(self, asked: Request, text: str, bench: Bench, **params: Any) -> Any:
        """As `say`, under ``json_schema``: the JSON value."""
        return json.loads(await self.say(asked, text, bench, **params))

    def close(self) -> None:
        """Free the weights."""
        self._language.close()


def unwrapped(text: str) -> str:
    """The text with a space where a line of a paragraph goes on in the next: as long as before, so places stay.

    Headings, list items, table rows and code begin lines of their own.
    """
    return _GOES_ON.sub(r"\1 ", text)


def prose_spans(text: str) -> list[tuple[int, int]]:
    """Spans of whole sentences of some words; headings and table rows are none."""
    flat = unwrapped(text)
    return [
        (start, end)
        for start, end in sentence_spans(flat)
        if count_words(flat[start:end]) >= FEWEST and not flat.startswith(("#", "|"), start)
    ]


def windows(text: str, words: int = WINDOW) -> Iterator[tuple[int, str]]:
    """The text in pieces of at most so many words, cut between sentences, each with where it begins."""
    start = end = held = 0
    for left, right in sentence_spans(unwrapped(text)):
        count = count_words(text[left:right])
        if held and held + count > words:
            yield start, text[start:end]
            start, held = left, 0
        start = left if not held else start
        end, held = right, held + count
    if held:
        yield start, text[start:end]
