"""Long texts: each window is summarised, and the summaries again until one window holds them."""

import asyncio
from typing import Any

import pytest

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Part, Request, Usage
from bottega.engines.base import Bench
from bottega.retrieval.tasks.summarise import Summarise

SENTENCE = "The pump number {n} of the eastern garden moves clean water to the basin every morning."
LONG = " ".join(SENTENCE.format(n=n) for n in range(340))  # 5,440 words


class Says:
    """A writer that answers with ``words`` words, taken from what it was given; it counts its calls."""

    def __init__(self, words: int) -> None:
        self.calls, self.words, self.used = 0, words, Usage(unit="token")
        self.most: list[int] = []

    def begin(self) -> None: ...

    async def say(self, asked: Request, text: str, bench: Bench, **params: Any) -> str:
        self.calls += 1
        self.most.append(params["max_tokens"])
        assert self.calls < 60, "it does not end"
        said = f"{text} {text}".split()[: self.words]
        return " ".join(said).rpartition(".")[0] + "."


async def summary(bench: Bench, writer: Says) -> str:
    engine = Summarise()
    engine._writer = writer  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    request = Request(
        engine="summarise",
        model="qwen2.5-coder-1.5b-instruct",
        parts=(Part(port="text", text=LONG),),
        params={"sentences": 20},
    )
    async with asyncio.timeout(60):
        outputs = [output async for output in engine.generate(request, bench)]
    return next(o.data or b"" for o in outputs if isinstance(o, Finished) and o.port == "text").decode()


async def test_five_thousand_words_are_mapped_and_merged(bench: Bench) -> None:
    writer = Says(60)
    said = await summary(bench, writer)
    assert said.startswith("The pump number 0 of the eastern garden")
    assert writer.calls == 8  # seven windows of 900 words, and the seven summaries together


async def test_a_writer_that_does_not_shorten_is_stopped(bench: Bench) -> None:
    writer = Says(2000)
    with pytest.raises(EngineFailed, match="no shorter"):
        await summary(bench, writer)
    assert writer.calls == 7


async def test_a_window_is_asked_for_a_third_of_itself_and_only_the_last_for_the_whole_summary(
    bench: Bench,
) -> None:
    writer = Says(300)
    await summary(bench, writer)
    assert writer.most == [400] * 7 + [400] * 3 + [1200]
