"""Translation by an encoder-decoder: the form of the document, its numbers and its names stay."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from typing import ClassVar, Literal

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request, Usage
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.engines.faithful import Masked, french_numbers, is_faithful, pieces_of, rejoined
from bottega.engines.marian import Marian
from bottega.engines.prose import prose_of, translatable

PAIRS = {("en", "fr"): "opus-mt-en-fr"}  # the planner asks the language engine for every other pair
TEXTS = ("text/markdown", "text/plain", "application/json")
BATCH = 8  # sentences between two looks at the stop signal
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+(?=[\"“(*_\[`]*[A-Z0-9])")


class TranslateParams(Params, frozen=True):
    """From which language into which, and what stays."""

    source: Literal["en"] = Field(default="en", description="language of the input")
    target: Literal["fr"] = Field(default="fr", description="language of the output")
    keep: tuple[str, ...] = Field(default=(), max_length=100, description="names that stay as they are")
    keys: tuple[str, ...] = Field(
        default=(), max_length=100, description="JSON: translate only under these keys; empty for all"
    )
    skip_keys: tuple[str, ...] = Field(
        default=("icon", "id", "kind", "url", "source", "passage"),
        max_length=100,
        description="JSON: never translate under these keys",
    )


class Translate(Engine):
    """Translates Markdown, plain text, or the strings of JSON, sentence by sentence."""

    card: ClassVar[Card] = Card(
        id="translate",
        version="1",
        summary="Translates English into French with OPUS-MT (CTranslate2), form and numbers kept",
        modality="text",
        inputs=(Port(name="text", media_types=TEXTS, note="English"),),
        outputs=(Port(name="text", media_types=TEXTS, note="same media type as the input"),),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        extra="translate",
        isolation="process",
        models=tuple(PAIRS.values()),
        source_type=GENERATED,
        not_covered="Each sentence is translated alone: pronouns and terms may differ between sentences. "
        "Numbers written as words are not compared.",
    )
    params: ClassVar[type[Params]] = TranslateParams

    def __init__(self) -> None:
        self._models: dict[str, Marian] = {}

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield progress by batches of sentences, the usage in tokens, then the document."""
        params = TranslateParams.model_validate(request.params)
        parts = parts_at(request, "text")
        if len(parts) != 1:
            raise EngineFailed(
                f"it needs one text, not {len(parts)}", where="text", remedy="connect one step"
            )
        document = bench.text(parts[0])
        media_type = parts[0].artifact.media_type if parts[0].artifact else "text/markdown"
        model = request.model or PAIRS[params.source, params.target]
        if model not in self._models:
            self._models[model] = await asyncio.to_thread(Marian, bench.weights(model), bench.threads)
        marian = self._models[model]
        read, wrote = marian.read, marian.wrote
        form = prose_of(document, media_type, params.keys, params.skip_keys)
        sentences = [[Masked.of(text) for text in SENTENCE_END.split(prose)] for prose in form.pieces]
        said: dict[str, str] = {}
        wanted = [sentence.text for group in sentences for sentence in group]
        async for fraction in self._say(model, wanted, said, bench):
            yield Progress(fraction=0.8 * fraction, note="translating")
        doubtful = [
            sentence
            for group in sentences
            for sentence in group
            if not is_faithful(sentence, said[sentence.text], params.keep)
        ]
        rest = [
            text for sentence in doubtful for text, fixed in pieces_of(sentence, params.keep) if not fixed
        ]
        async for fraction in self._say(model, rest, said, bench):
            yield Progress(fraction=0.8 + 0.2 * fraction, note="mending")
        spoken = [
            " ".join(
                rejoined(sentence, said, params.keep)
                if sentence in doubtful
                else sentence.unmasked(said[sentence.text])
                for sentence in group
            )
            for group in sentences
        ]
        yield Usage(input_units=marian.read - read, output_units=marian.wrote - wrote, unit="token")
        details = {
            "model": model,
            "source": params.source,
            "target": params.target,
            "sentences": len(wanted),
            "in_pieces": len(doubtful),
        }
        data = form.put(spoken).encode()
        yield Finished(port="text", media_type=media_type, data=data, details=details)

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """One text of the input's media type."""
        return self.card.outputs

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Two seconds to load, then 250 bytes a second."""
        return Estimate(
            seconds=2 + input_bytes / 250,
            units={
                "token": 8.0 * input_bytes + 100
            },  # a token a byte, read twice at most, and written out longer
        )

    def close(self) -> None:
        """Free the weights."""
        self._models.clear()

    async def _say(
        self, model: str, wanted: Iterable[str], said: dict[str, str], bench: Bench
    ) -> AsyncIterator[float]:
        """Fill ``said`` with what is not there yet; yield how far it has come."""
        new = [text for text in dict.fromkeys(wanted) if text not in said and translatable(text)]
        for text in wanted:
            said.setdefault(text, french_numbers(text))
        for start in range(0, len(new), BATCH):
            bench.check_cancelled()
            batch = new[start : start + BATCH]
            spoken = await asyncio.to_thread(self._models[model].translate, [text.strip() for text in batch])
            said.update(zip(batch, spoken, strict=True))
            yield min((start + BATCH) / len(new), 1)
        bench.check_cancelled()
