"""One labelled pair of the entailment data, and the files that hold them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

Label = Literal["supports", "contradicts", "not_enough", "not_supports"]
"""``not_supports`` leaves open which of the two others holds; it is for training only."""

LABELS: tuple[Label, ...] = ("supports", "contradicts", "not_enough")  # the order of the model's outputs


class Pair(NamedTuple):
    """``premise`` is quoted source text, ``hypothesis`` one sentence of an answer."""

    premise: str
    hypothesis: str
    label: Label
    source: str  # which data set or rule made it


def write_pairs(path: Path, pairs: Iterable[Pair]) -> int:
    """Write pairs as JSON lines; the file appears whole. Returns how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, count = path.with_suffix(".part"), 0
    with temporary.open("w", encoding="utf-8") as stream:
        for pair in pairs:
            stream.write(json.dumps(pair, ensure_ascii=False) + "\n")
            count += 1
    temporary.replace(path)
    return count


def read_pairs(path: Path) -> Iterator[Pair]:
    """The pairs of a file, in order."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            premise, hypothesis, label, source = json.loads(line)
            yield Pair(premise, hypothesis, label, source)
