"""Measures the citation gate on quotes made from SciFact's evidence: true, fabricated, stitched and misattributed ones.

    python benchmarks/citations.py --data DIR            # DIR in BEIR's layout, as for benchmarks/scifact.py
    python benchmarks/citations.py --data DIR --json

The data is that of Wadden and others, Fact or Fiction, 2020 (allenai/scifact, CC BY-NC 2.0); it is not part of this project. Every abstract
that a claim cites is converted and cut as any document is. From its sentences are made:

- ``true``: the sentence at its place;
- ``fabricated``: a word left out, two words exchanged, a number changed, or a letter replaced by one that looks the same;
- ``stitched``: the beginning of one sentence and the end of another, with and without dots between them;
- ``misattributed``: true words, said to stand in another document, on another page, elsewhere in the document, or in another version;
- ``claim``: for a true quote, a sentence that says the same with another number, or with another name;
- ``exchanged``: a sentence whose amount is replaced by that of another sentence of the passage that names something else, both quoted: every
  number and name stands in the quotes. ``true, two quotes`` are the same sentences as they were.

Positive is what must be refused. ``precision`` is the share of refused ones that had to be, ``recall`` the share of those that had to be
refused and were. Meaning is not judged here: that is benchmarks/nli.
"""

import argparse
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bottega.checks.quantities import quantities
from bottega.checks.quoting import misplaced, missing_names, missing_numbers, names, things
from bottega.core.canonical import digest_bytes
from bottega.core.passage import Passage
from bottega.retrieval.answers.bound import exchanged
from bottega.retrieval.chunk import Block, compose
from bottega.retrieval.sentences import sentence_spans

ALIKE = str.maketrans({"a": "а", "e": "е", "o": "о", "c": "с"})  # Cyrillic
FEWEST = 6  # words of a sentence that is quoted


class Case(NamedTuple):
    """A citation as somebody may present it; ``claim`` is the sentence that it stands under, empty for none."""

    kind: str
    passage: Passage
    quote: str
    start: int
    end: int
    said: dict[str, Any]
    claim: str = ""
    beside: str = ""  # a second quote


def documents(data: Path) -> list[list[Passage]]:
    """The passages of every abstract that a claim of the test set cites."""
    rows = (line.split("\t") for line in (data / "qrels" / "test.tsv").read_text().splitlines()[1:])
    cited = {document for _, document, score in rows if int(score) > 0}
    found: list[list[Passage]] = []
    for line in (data / "corpus.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["_id"] in cited:
            text = f"{row['title']}\n{row['text']}"
            blocks = [Block(row["title"], "heading", 1), Block(row["text"])]
            document = compose(f"{row['_id']}.md", digest_bytes(text.encode()), "text/markdown", [blocks])
            found.append(list(document.passages))
    return found


def cases(data: Path, seed: int) -> Iterator[Case]:
    """Every kind for every passage that has two sentences."""
    chance = random.Random(seed)
    held = documents(data)
    for passages in held:
        for passage in passages:
            spans = [
                (start, end)
                for start, end in sentence_spans(passage.text)
                if len(passage.text[start:end].split()) >= FEWEST
            ]
            if len(spans) < 2:
                continue
            (left, right), (other, until) = chance.sample(spans, 2)
            quote = passage.text[left:right]
            at = (passage.start + left, passage.start + right)
            mine = {"source": passage.source, "page": passage.page, "sha256": passage.sha256}
            yield Case("true", passage, quote, *at, mine)
            for made in fabricated(quote, chance):
                yield Case("fabricated", passage, made, at[0], at[0] + len(made), mine)
                yield Case("fabricated", passage, made, *at, mine)
            ends = passage.text[other:until].split()
            begins = quote.split()
            for between in (" ", " ... ", " […] "):
                made = between.join((" ".join(begins[: len(begins) // 2]), " ".join(ends[len(ends) // 2 :])))
                if made not in passage.text:
                    yield Case("stitched", passage, made, at[0], at[0] + len(made), mine)
            stranger = chance.choice([each for each in held if each is not passages])[0]
            yield Case("misattributed", stranger, quote, *at, {"source": stranger.source})
            yield Case("misattributed", passage, quote, *at, {**mine, "source": stranger.source})
            yield Case("misattributed", passage, quote, *at, {**mine, "page": passage.page + 1})
            yield Case("misattributed", passage, quote, *at, {**mine, "sha256": stranger.sha256})
            yield Case("misattributed", passage, quote, passage.start + other, passage.start + until, mine)
            yield Case("misattributed", passage, quote, at[0] + 1, at[1] + 1, mine)
            yield Case("true claim", passage, quote, *at, mine, quote)
            for claim in miscited(quote, chance):
                yield Case("claim", passage, quote, *at, mine, claim)
            second = passage.text[other:until]
            yield Case("true, two quotes", passage, quote, *at, mine, quote, second)
            for told, other_one in ((quote, second), (second, quote)):
                start = passage.start + passage.text.index(told)
                for claim in exchanges(told, other_one):
                    yield Case("exchanged", passage, told, start, start + len(told), mine, claim, other_one)


SPELLED = ("three", "five", "six", "seven", "nine", "eleven")


def fabricated(quote: str, chance: random.Random) -> list[str]:
    """The quote with one thing changed."""
    words = quote.split(" ")
    place = chance.randrange(1, len(words) - 1)
    without = " ".join(words[:place] + words[place + 1 :])
    swapped = [*words]
    swapped[place], swapped[place - 1] = swapped[place - 1], swapped[place]
    made = [without, " ".join(swapped), quote.translate(ALIKE)]
    if number := re.search(r"\d", quote):
        made.append(f"{quote[: number.start()]}{(int(number[0]) + 1) % 10}{quote[number.end() :]}")
    return [each for each in made if each != quote]


def miscited(quote: str, chance: random.Random) -> list[str]:
    """Sentences that the quote does not bear out: another number in figures, another in words, another name."""
    made: list[str] = []
    for each in quantities(quote):
        if each.dimension not in ("code", "clock") and not each.spelled and each.written.isdecimal():
            other = str(int(each.written) + chance.choice((7, 13, 111)))
            if not re.search(rf"\b{other}\b", quote):
                made.append(f"{quote[: each.start]}{other}{quote[each.start + len(each.written) :]}")
                break
    for each in quantities(quote):
        if each.spelled and not each.dimension and each.written.islower() and max(each.values) > 1:
            other = chance.choice([word for word in SPELLED if word not in quote.lower()])
            made.append(f"{quote[: each.start]}{other}{quote[each.start + len(each.written) :]}")
            break
    for name in names(quote):
        made.append(re.sub(rf"\b{re.escape(name)}\b", "Zanzibrax", quote, count=1))
        break
    return [each for each in made if each != quote]


def exchanges(first: str, second: str) -> list[str]:
    """The first sentence with an amount of the second, where the two say different amounts of one kind about different things."""
    mine = [each for each in quantities(first) if each.values and each.dimension not in ("", "clock")]
    theirs = [each for each in quantities(second) if each.values]
    named = {name for name, *_ in things(first)}
    if not named or named & {name for name, *_ in things(second)} or not list(things(second)):
        return []
    for each in mine:
        for other in theirs:
            if other.dimension == each.dimension and not other.values & each.values:
                end = each.start + len(each.written)
                return [f"{first[: each.start]}{other.written}{first[end:]}"]
    return []


def refused(case: Case) -> bool:
    """What the deterministic gate says."""
    if misplaced(case.quote, case.passage, case.start, case.end, **case.said):
        return True
    quotes = [
        case.passage.model_copy(update={"text": text, "heading": "", "source": ""})
        for text in (case.quote, case.beside)
        if text
    ]
    return bool(case.claim) and bool(
        missing_numbers(case.claim, quotes)
        or missing_names(case.claim, quotes)
        or exchanged(case.claim, quotes)
    )


def measure(found: Sequence[Case]) -> dict[str, Any]:
    """Counts by kind, and precision and recall over all."""
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for case in found:
        counts[case.kind][0] += 1
        counts[case.kind][1] += refused(case)
    hits = sum(no for kind, (_, no) in counts.items() if not kind.startswith("true"))
    false = sum(no for kind, (_, no) in counts.items() if kind.startswith("true"))
    due = sum(of for kind, (of, _) in counts.items() if not kind.startswith("true"))
    kinds = {kind: {"made": of, "refused": no} for kind, (of, no) in counts.items()}
    return {
        "kinds": kinds,
        "precision": round(hits / max(1, hits + false), 4),
        "recall": round(hits / max(1, due), 4),
    }


def main() -> None:
    """Print the table, or with ``--json`` one document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(list(cases(options.data, options.seed)))
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for kind, row in found["kinds"].items():
        print(f"{kind:14} {row['made']:6} made  {row['refused']:6} refused")
    print(f"precision {found['precision']:.4f}  recall {found['recall']:.4f}")


if __name__ == "__main__":
    main()
