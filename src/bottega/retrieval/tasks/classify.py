"""Classification without training: by the nearest label, or by what a language model finds likely; in doubt, neither."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from typing import Any, ClassVar

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request, Usage
from bottega.core.value import JsonObject, Value
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.retrieval.tasks.writing import ENCODERS, Writer, windows

_LETTERS = "ABCDEFGHIJ"
_SYSTEM = "You sort texts under labels. Answer with one letter."


class Label(Value, frozen=True):
    """What a text may be: a name, what it means, and texts that are it."""

    name: str = Field(min_length=1, max_length=80)
    description: str = Field(default="", max_length=400)
    examples: tuple[str, ...] = Field(default=(), max_length=50)


class ClassifyParams(Params, frozen=True):
    """The labels, and how clear a decision must be."""

    labels: tuple[Label, ...] = Field(
        min_length=2, max_length=10, description="name, description, examples of each"
    )
    min_margin: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share by which the first label must lead the second, else none is given",
    )


class Classify(Engine):
    """With an embedder (encoder only) the nearest label wins; with a language model (decoder only) the likeliest."""

    card: ClassVar[Card] = Card(
        id="classify",
        version="1",
        summary="Sorts texts under labels that are described or shown by examples; gives none when it is not clear",
        modality="data",
        inputs=(Port(name="text", media_types=("text/*",), many=True, note="each file is one text"),),
        outputs=(Port(name="labels", media_types=("application/json",)),),
        licence="Apache-2.0",
        determinism="seeded",
        extra="retrieve",
        isolation="process",
        models=("arctic-embed-s", "potion-base-8m", "use-multilingual", "qwen2.5-coder-1.5b-instruct"),
        source_type=GENERATED,
        not_covered="The shares are no calibrated probabilities: choose the margin on texts of your own.",
    )
    params: ClassVar[type[Params]] = ClassifyParams

    def __init__(self) -> None:
        self._writer = Writer()

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield progress, then for each text its label, the margin, and the share of every label."""
        params = ClassifyParams.model_validate(request.params)
        parts = parts_at(request, "text")
        if not parts:
            raise EngineFailed("no text arrived", where="text", remedy="give at least one file")
        names = [label.name for label in params.labels]
        if len(set(names)) < len(names):
            raise EngineFailed("two labels have the same name", where="labels")
        texts = [bench.text(part) for part in parts]
        bench.check_cancelled()
        model = request.model or self.card.models[0]
        if model in ENCODERS:
            shares = await asyncio.to_thread(_nearest, texts, params, model, bench)
            yield Usage(input_units=len(texts), unit="text")
        else:
            self._writer.begin()
            shares: list[list[float]] = []
            for number, text in enumerate(texts, start=1):
                shares.append(await self._likeliest(request, text, params, bench))
                yield Progress(fraction=number / len(texts), note="classifying")
            yield self._writer.used
        items = [
            _decided(part.name, dict(zip(names, row, strict=True)), params.min_margin)
            for part, row in zip(parts, shares, strict=True)
        ]
        data = json.dumps({"items": items}, ensure_ascii=False).encode()
        details = {"texts": len(items), "abstained": sum(item["label"] is None for item in items)}
        yield Finished(port="labels", media_type="application/json", data=data, details=details)

    async def _likeliest(
        self, request: Request, text: str, params: ClassifyParams, bench: Bench
    ) -> list[float]:
        """Shares from the log-probabilities of the letters that stand for the labels."""
        lines = [
            f"{letter}) {_described(label)}" for letter, label in zip(_LETTERS, params.labels, strict=False)
        ]
        letters = _LETTERS[: len(params.labels)]
        _, first = await self._writer.weigh(
            request,
            next(piece for _, piece in windows(text, 600)) if text.strip() else text,
            bench,
            prompt="Under which label does the text fall?\n" + "\n".join(lines),
            system=_SYSTEM,
            grammar=f"root ::= [{letters[0]}-{letters[-1]}]",
            max_tokens=1,
            logprobs=10,
        )
        told: dict[str, float] = {}
        for token, logprob in first[1:]:
            told.setdefault(token.strip(), logprob)
        floor = min(
            (logprob for _, logprob in first), default=0.0
        )  # of a letter that is not among the first ten
        weights = [math.exp(told.get(letter, floor)) for letter in letters]
        return [weight / sum(weights) for weight in weights]

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """As the language model takes: one prompt for each text."""
        assert isinstance(params, ClassifyParams)
        asked = sum(len(_described(label)) for label in params.labels) + 500
        return Estimate(seconds=2 + (input_bytes + asked) / 200, units={"token": 2.0 * (input_bytes + asked)})

    def close(self) -> None:
        """Free the weights."""
        self._writer.close()


def _nearest(texts: Sequence[str], params: ClassifyParams, model: str, bench: Bench) -> list[list[float]]:
    """Shares by nearness to each label: its examples, or its description where it has none."""
    nearness: Any = import_module("bottega.retrieval.tasks.nearness")
    shown = [label.examples or (_described(label),) for label in params.labels]
    return nearness.shares(texts, shown, model, bench)


def _described(label: Label) -> str:
    return f"{label.name}: {label.description}" if label.description else label.name


def _decided(name: str, shares: dict[str, float], min_margin: float) -> JsonObject:
    first, second = sorted(shares, key=lambda label: -shares[label])[:2]
    margin = shares[first] - shares[second]
    sure = margin >= min_margin
    return {
        "name": name,
        "label": first if sure else None,
        "margin": round(margin, 4),
        "shares": {label: round(share, 4) for label, share in shares.items()},
        "abstained": ""
        if sure
        else f"'{first}' leads '{second}' by {margin:.2f}, less than {min_margin:.2f}",
    }
