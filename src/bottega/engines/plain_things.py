"""Which house model draws what a prompt names: the rule by which `image` goes to one of them, or composes a page of words."""

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from bottega.core.errors import BottegaError
from bottega.drawing.words import thing

HOUSE = (
    ("pictogram", "text-icon"),
    ("drawing", "icon-svg"),
)  # engine and model; the first that knows the thing


class Routed(NamedTuple):
    """The engine that draws it, and the words that it is asked for."""

    engine: str
    words: str


def drawer(prompt: str, weights: Callable[[str], Path]) -> Routed | None:
    """Who draws the one plain thing that a prompt asks for; None where it asks for something else, or nobody knows it.

    Args:
        prompt: as the caller wrote it; `bottega.drawing.words.thing` says what counts as one thing.
        weights: a catalog model's folder; may raise where it is not on this machine.
    """
    for engine, model in HOUSE:
        try:
            labels, drawn = _known(weights(model) / "model.json")
        except BottegaError:
            continue  # not pulled: the next one, or a composed picture
        if words := thing(prompt, labels, drawn):
            return Routed(engine, words)
    return None


@lru_cache(maxsize=8)
def _known(path: Path) -> tuple[list[str], frozenset[int] | None]:
    facts: dict[str, Any] = json.loads(path.read_bytes())
    return facts["labels"], frozenset(facts["drawn"]) if "drawn" in facts else None
