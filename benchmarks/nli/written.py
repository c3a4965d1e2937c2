"""The hand-written items of ``written/``: a premise with one sentence for each label, held apart from the test set.

    python -m benchmarks.nli.written      # no item may share five words in a row with tests/data/entailment.toml

An eighth of the items, drawn by the digest of the premise, is for development: it chooses settings and the threshold.
"""

import hashlib
import json
import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.nli.pairs import LABELS, Pair

FOLDER = Path(__file__).parent / "written"
HELD = Path(__file__).parents[2] / "tests" / "data" / "entailment.toml"
TIMES = 4  # each training pair in the last stage
OTHERS = 6000  # pairs of the machine-made sources beside them, against forgetting
SHARED = 5  # words in a row

Item = dict[str, str]


def items() -> list[Item]:
    """All items, in the order of files and lines."""
    return [
        json.loads(line)
        for path in sorted(FOLDER.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def develops(item: Item) -> bool:
    """Whether the item is for development; adding items moves no other one."""
    return int(hashlib.sha256(item["premise"].encode()).hexdigest(), 16) % 8 == 0


def pairs(chosen: Sequence[Item]) -> list[Pair]:
    """Three pairs of each item."""
    return [Pair(item["premise"], item[label], label, "written") for item in chosen for label in LABELS]


def last_stage(more: Sequence[Pair]) -> list[Pair]:
    """The written training pairs several times over, among machine-made ones; a pure function of both."""
    rng = random.Random(7)
    others = list(more)
    rng.shuffle(others)
    mixed = [
        *(TIMES * pairs([item for item in items() if not develops(item)])),
        *others[:OTHERS],
    ]
    rng.shuffle(mixed)
    return mixed


def runs(text: str) -> set[tuple[str, ...]]:
    """Every five words in a row."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {tuple(words[start : start + SHARED]) for start in range(len(words) - SHARED + 1)}


def strings(tree: Any) -> Iterator[str]:
    """The texts of a document."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for each in tree.values() if isinstance(tree, dict) else tree:  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            yield from strings(each)


def overlapping() -> list[Item]:
    """The items that share five words in a row with the test set."""
    held = {run for text in strings(tomllib.loads(HELD.read_text(encoding="utf-8"))) for run in runs(text)}
    return [item for item in items() if any(runs(item[key]) & held for key in item)]


def main() -> None:
    """Count the items; stop when one is too near to the test set."""
    if near := overlapping():
        raise SystemExit(f"{len(near)} items share {SHARED} words in a row with the test set")
    print(f"{len(items())} items, {sum(map(develops, items()))} of them for development")


if __name__ == "__main__":
    main()
