"""Find the icon that fits words: lexical ranking over Lucide's names and tags."""

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import quoteattr

from bottega.engines.icon_ideas import IDEAS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NOTHING = _words("""
    a an and are as at be by can for from has in is it its made make new no not of on or our that the their this to
    up very with without you your less more all any
""")
# Parts of names that turn an icon into a variant of another; welcome only when asked for.
VARIANT = _words("""
    file off x minus plus check alert dot cog slash ban crossed half low medium high ccw cw ellipsis dashed down left
    right big small 1 2 3 4 circle square
""")
# Words that seldom say what the picture should show.
WEAK = _words("""
    long lif life short time year two three one day part quality high low best great good system device machin product
    service model use set full
""")


CLEAR = 0.4  # of the score: enough to take an icon for a text that was not written to name one


@dataclass(frozen=True)
class Match:
    """The icon that fits best; ``score`` 0 to 1 is the share of the words' weight that it answers."""

    words: str
    name: str
    score: float


class Icons:
    """Lucide's icons: 24 by 24 units, strokes of 2 units, round caps."""

    def __init__(self, folder: Path) -> None:
        tags = cast(dict[str, list[str]], json.loads((folder / "tags.json").read_bytes()))
        self.nodes = cast(dict[str, list[list[Any]]], json.loads((folder / "icon-nodes.json").read_bytes()))
        self._names = {name: [stem(part) for part in name.split("-")] for name in self.nodes}
        self._tags = {name: [stems(tag) for tag in tags.get(name, [])] for name in self.nodes}
        seen: dict[str, int] = {}
        for name in self.nodes:
            for word in {*self._names[name], *(word for tag in self._tags[name] for word in tag)}:
                seen[word] = seen.get(word, 0) + 1
        self._rarity = {word: math.log(len(self.nodes) / count) for word, count in seen.items()}

    def find(self, words: str, taken: Collection[str] = ()) -> Match:
        """The best icon for the words that is not taken; an empty name and score 0 when nothing fits."""
        if words.strip().lower().replace(" ", "-") in self.nodes:
            exact = words.strip().lower().replace(" ", "-")
            if exact not in taken:
                return Match(words, exact, 1.0)
        query = stems(words)
        weights = {
            word: (3.0 if word in WEAK else self._rarity.get(word, 7.0)) * (0.8 if place else 1.0)
            for place, word in reversed(list(enumerate(reversed(query))))
        }  # the last word of an English phrase is its head
        total = sum(weights.values())
        best = Match(words, "", 0.0)
        if not total:
            return best
        ideas = {word: IDEAS[plain] for plain in IDEAS if (word := stem(plain)) in weights}
        rank = 0.0
        for name in sorted(self.nodes):
            if name in taken:
                continue
            score = self._score(name, weights, ideas) / total
            fine = score - 0.01 * len(self._names[name]) - 0.0005 * len(name)
            if score > 0 and fine > rank:
                rank, best = fine, Match(words, name, round(min(score, 1.0), 3))
        return best

    def other(self, words: str, told: Sequence[str], taken: Collection[str]) -> Match:
        """The best icon for the words; when a taken one looks alike, for what else is told of the same thing.

        ``told`` holds texts, the shortest first. A variant of a taken icon is the last resort.
        """
        first = self.find(words)
        if not any(akin(first.name, name) for name in taken):
            return first
        for text in told:
            for phrase in (text, *(word for word in re.findall(r"[^\W_]+", text.lower()) if word in IDEAS)):
                match = self.find(phrase)
                if match.score >= CLEAR and not any(akin(match.name, name) for name in taken):
                    return match
        return self.find(words, taken)

    def draw(self, name: str, x: float, y: float, size: float, colour: str, stroke: float = 2.0) -> str:
        """SVG of an icon at a place, ``size`` pixels wide; ``stroke`` in units of the 24-unit grid."""
        inner = "".join(
            f"<{tag} "
            + " ".join(
                f"{key}={quoteattr(str(value))}" for key, value in sorted(fields.items()) if key != "key"
            )
            + "/>"
            for tag, fields in ((str(node[0]), cast(dict[str, Any], node[1])) for node in self.nodes[name])
        )
        return (
            f'<g transform="translate({x:.2f} {y:.2f}) scale({size / 24:.4f})" fill="none" stroke="{colour}" '
            f'stroke-width="{stroke:g}" stroke-linecap="round" stroke-linejoin="round">{inner}</g>'
        )

    def _score(self, name: str, weights: Mapping[str, float], ideas: Mapping[str, str]) -> float:
        parts, tags = self._names[name], self._tags[name]
        extra = sum(1 for part in parts if part in VARIANT and part not in weights)
        score = 0.0
        for word, weight in weights.items():
            fit = 0.0
            if word in parts:
                fit = 1.0 if len(parts) - extra == 1 else 0.8
            for place, tag in enumerate(tags):
                if word in tag:
                    fit = max(fit, (0.75 if len(tag) == 1 else 0.5) - 0.01 * min(place, 10))
            if word in ideas:
                fit = max(fit, 1.05 if name == ideas[word] else 0.0)
            score += weight * fit
        return score * 0.9 ** min(extra, 3)


def akin(first: str, second: str) -> bool:
    """Whether two icons show the same thing, as ``house`` and ``house-plus`` do."""
    one, two = ({part for part in name.split("-") if part not in VARIANT} for name in (first, second))
    return bool(one & two)


@lru_cache(maxsize=2)
def load(folder: Path) -> Icons:
    """The icons in a folder, read once."""
    return Icons(folder)


def stems(text: str) -> list[str]:
    """The content words of a text, stemmed."""
    return [stem(word) for word in re.findall(r"[^\W_]+", text.lower()) if word not in NOTHING]


def stem(word: str) -> str:
    """Cut common English endings, so that 'batteries' meets 'battery' and 'charging' meets 'charge'."""
    word = word.lower()
    if len(word) > 5 and word.endswith("e"):
        word = word[:-1]
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("ings", ""), ("ing", ""), ("edly", ""), ("ed", ""),
                            ("ly", ""), ("ment", ""), ("ness", ""), ("able", ""), ("s", "")):  # fmt: skip
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: len(word) - len(ending)] + instead
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word
