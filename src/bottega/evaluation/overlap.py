"""How much a text has in common with the one that was wanted: ROUGE-L (Lin 2004) and chrF (Popovic 2015)."""

import re
from collections import Counter
from collections.abc import Sequence

WORD = re.compile(r"[a-z0-9]+")
LETTERS, BETA = 6, 2  # runs of up to 6 letters; recall counts twice


def rouge_l(said: str, wanted: str) -> float:
    """F1 of the longest common subsequence of lower-case words: 0..1."""
    a, b = WORD.findall(said.lower()), WORD.findall(wanted.lower())
    line = [0] * (len(b) + 1)
    for word in a:
        before = 0
        for place, other in enumerate(b, 1):
            before, line[place] = (
                line[place],
                before + 1 if word == other else max(line[place], line[place - 1]),
            )
    return 2 * line[-1] / (len(a) + len(b)) if a and b else 0.0


def chrf(said: Sequence[str], wanted: Sequence[str]) -> float:
    """F2 of runs of 1 to 6 letters over all texts together, white space left out: 0..100, as sacrebleu's chrF2."""
    found = list[tuple[float, float]]()
    for size in range(1, LETTERS + 1):
        both = mine = theirs = 0
        for one, other in zip(said, wanted, strict=True):
            a, b = _runs(one, size), _runs(other, size)
            both, mine, theirs = both + (a & b).total(), mine + a.total(), theirs + b.total()
        if mine and theirs:
            found.append((both / mine, both / theirs))
    if not found:
        return 0.0
    precision, recall = (sum(side) / len(found) for side in zip(*found, strict=True))
    weighed = BETA**2 * precision + recall
    return 100 * (1 + BETA**2) * precision * recall / weighed if weighed else 0.0


def _runs(text: str, size: int) -> Counter[str]:
    letters = "".join(text.split())
    return Counter(letters[i : i + size] for i in range(len(letters) - size + 1))


def first_sentence(text: str) -> str:
    """Up to the first full stop that white space follows; all of it where there is none."""
    return re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]
