"""Summaries: sentences taken from the text, or written anew and held against it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from typing import Any, ClassVar

from pydantic import Field

from bottega.checks.facts import missing
from bottega.core.errors import EngineFailed
from bottega.core.passage import Passage
from bottega.core.request import Finished, Output, Progress, Request
from bottega.core.value import JsonObject
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.retrieval.sentences import sentence_spans
from bottega.retrieval.support import Supporter
from bottega.retrieval.tasks.writing import ENCODERS, Writer, prose_spans, windows

_SAID = 0.45  # share of a sentence's words that the source's sentences must hold
MAPPED = 400  # tokens of one window's summary, a third of what the window holds: each round is shorter than the last
_SYSTEM = (
    "You summarise texts. Write plain sentences, only what the text says, with its own names and numbers."
)


class SummariseParams(Params, frozen=True):
    """How long the summary is and what it is for."""

    sentences: int = Field(default=3, ge=1, le=20, description="at most this many")
    focus: str = Field(default="", max_length=200, description="what the reader wants to know")


class Summarise(Engine):
    """With an embedder as model it extracts, with a language model it writes; long texts by map and merge."""

    card: ClassVar[Card] = Card(
        id="summarise",
        version="2",
        summary="Summarises a text: by a language model, each sentence held against the text, or by its own sentences",
        modality="text",
        inputs=(Port(name="text", media_types=("text/markdown", "text/plain")),),
        outputs=(
            Port(name="text", media_types=("text/plain",)),
            Port(name="evidence", media_types=("application/json",), note="where each sentence comes from"),
        ),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        extra="retrieve",
        isolation="process",
        models=("qwen2.5-coder-1.5b-instruct", "smollm2-135m-instruct", "arctic-embed-s", "potion-base-8m"),
        source_type=GENERATED,
        not_covered="Sentences are held against words, numbers and names of the text, not against its meaning.",
    )
    params: ClassVar[type[Params]] = SummariseParams

    def __init__(self) -> None:
        self._writer = Writer()

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield progress, then the summary and its evidence."""
        params = SummariseParams.model_validate(request.params)
        parts = parts_at(request, "text")
        if len(parts) != 1:
            raise EngineFailed(f"it needs one text, not {len(parts)}", where="text", remedy="give one file")
        text = bench.text(parts[0])
        spans = prose_spans(text)
        if not spans:
            raise EngineFailed("the text holds no sentence", where=parts[0].name, remedy="give a longer text")
        bench.check_cancelled()
        dropped: list[JsonObject] = []
        if request.model in ENCODERS:
            chosen = await asyncio.to_thread(_taken, text, spans, params, request.model, bench)
        else:
            self._writer.begin()
            said = ""
            async for output in self._written(request, text, params, bench):
                if isinstance(output, str):
                    said = output
                else:
                    yield output
            chosen, dropped = held(text, said, params.sentences)
            yield self._writer.used
            if not chosen:
                reasons = "; ".join(str(one["reason"]) for one in dropped)
                raise EngineFailed(
                    f"no sentence of the summary is borne out by the text: {reasons}",
                    remedy="extract instead: model arctic-embed-s",
                )
        summary = " ".join(" ".join(str(one["text"]).split()) for one in chosen)
        evidence = {"sentences": chosen, "dropped": dropped}
        details = {"sentences": len(chosen), "dropped": len(dropped)}
        yield Finished(port="text", media_type="text/plain", data=f"{summary}\n".encode(), details=details)
        data = json.dumps(evidence, ensure_ascii=False).encode()
        yield Finished(port="evidence", media_type="application/json", data=data, details=details)

    async def _written(
        self, request: Request, text: str, params: SummariseParams, bench: Bench
    ) -> AsyncIterator[Progress | str]:
        """Progress, then the summary: of each window, and of the summaries, in ever fewer windows, until one holds them."""
        focus = f" The reader wants to know: {params.focus}" if params.focus else ""
        prompt = f"Summarise the text in at most {params.sentences} sentences.{focus}"
        pieces = [piece for _, piece in windows(text)]
        while True:
            last = len(pieces) == 1
            most = 60 * params.sentences if last else min(60 * params.sentences, MAPPED)
            said: list[str] = []
            for number, piece in enumerate(pieces):
                bench.check_cancelled()
                said.append(
                    await self._writer.say(
                        request, piece, bench, prompt=prompt, system=_SYSTEM, max_tokens=most
                    )
                )
                yield Progress(fraction=0.9 * (number + 1) / len(pieces), note=f"{len(pieces)} pieces")
            if last:
                yield said[0]
                return
            merged = [piece for _, piece in windows("\n".join(said))]
            if not 0 < len(merged) < len(pieces):
                raise EngineFailed(
                    f"the summaries of {len(pieces)} pieces are no shorter than they are, or empty",
                    remedy="extract instead: model arctic-embed-s",
                )
            pieces = merged

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Reading the text once and a third of it again, and writing."""
        assert isinstance(params, SummariseParams)
        pieces = 1 + input_bytes / 5000
        tokens = input_bytes * 2.0 + pieces * (60 * params.sentences + 300)
        return Estimate(
            seconds=5 + input_bytes / 150 + pieces * 4 * params.sentences, units={"token": tokens}
        )

    def close(self) -> None:
        """Free the weights."""
        self._writer.close()


def _taken(
    text: str, spans: Sequence[tuple[int, int]], params: SummariseParams, model: str, bench: Bench
) -> list[JsonObject]:
    """Sentences of the text itself, at their places."""
    nearness: Any = import_module("bottega.retrieval.tasks.nearness")
    sentences = [" ".join(text[start:end].split()) for start, end in spans]
    chosen: list[tuple[int, float]] = nearness.central(
        sentences, params.sentences, params.focus, model, bench
    )
    return [
        {
            "text": text[spans[n][0] : spans[n][1]],
            "start": spans[n][0],
            "end": spans[n][1],
            "score": round(worth, 4),
        }
        for n, worth in chosen
    ]


def held(text: str, said: str, most: int) -> tuple[list[JsonObject], list[JsonObject]]:
    """The sentences that the text bears out, with the sentences of it that do, and those that it does not."""
    passages = [
        Passage(
            id=f"text#{n}",
            source="text",
            sha256="0" * 64,
            page=1,
            start=start,
            end=start + len(piece),
            text=piece,
        )
        for n, (start, piece) in enumerate(windows(text, 150), start=1)
    ]
    supporter = Supporter(passages)
    kept: list[JsonObject] = []
    dropped: list[JsonObject] = []
    for start, end in sentence_spans(said):
        sentence = said[start:end].lstrip("-•* ")
        found = supporter.find(sentence)
        added = missing(sentence, text)
        reason = f"support {found.score:.2f} is under {_SAID}" if found.score < _SAID else ""
        reason = f"not in the text: {', '.join((*added.numbers, *added.names))}" if added else reason
        if reason:
            dropped.append({"text": sentence, "reason": reason})
        elif len(kept) < most:
            quotes = [{"start": one.start, "end": one.end} for one, _ in found.sentences]
            kept.append({"text": sentence, "quotes": quotes, "score": round(found.score, 4)})
    return kept, dropped
