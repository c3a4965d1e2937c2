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
TIMES = 4  # how often a stage has the pairs that are new to it
OTHERS = 6000  # pairs of the machine-made sources beside them in the third stage, against forgetting
FEWER = 1500  # and in the fourth
SHARED = 5  # words in a row

Item = dict[str, str]


def items() -> list[Item]:
    """All items, in the order of files and lines."""
    return [item for path in sorted(FOLDER.glob("*.jsonl")) for item in read(path)]


def read(path: Path) -> list[Item]:
    """The items of one file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def develops(item: Item) -> bool:
    """Whether the item is for development; adding items moves no other one."""
    return int(hashlib.sha256(item["premise"].encode()).hexdigest(), 16) % 8 == 0


def pairs(chosen: Sequence[Item]) -> list[Pair]:
    """Three pairs of each item."""
    return [Pair(item["premise"], item[label], label, "written") for item in chosen for label in LABELS]


def last_stages(more: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """The third and the fourth stage of training, pure functions of the items and the machine-made pairs.

    Third: the items of all files but the last, four times over. Fourth: these once, those of the last file, which
    were written after a look at what the third gets wrong in development, four times.
    """
    training = [item for item in items() if not develops(item)]
    added = [item for item in read(max(FOLDER.glob("*.jsonl"))) if not develops(item)]
    before = training[: -len(added)]
    others = list(more)
    random.Random(7).shuffle(others)
    third = [*(TIMES * pairs(before)), *others[:OTHERS]]
    fourth = [*pairs(before), *(TIMES * pairs(added)), *others[OTHERS : OTHERS + FEWER]]
    for stage in (third, fourth):
        rng = random.Random(7)
        rng.shuffle(list(more))  # the shipped weights saw the order of a generator that had been used before
        rng.shuffle(stage)
    return third, fourth


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
