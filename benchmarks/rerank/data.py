"""Questions and claims, each with the paragraph that answers it and paragraphs that are mistaken for it.

    python -m benchmarks.rerank.data --work WORK

Of HotpotQA's ten paragraphs to a question (Yang and others, 2018) one of the two that answer is taken, and those that its authors chose
because they share words with it. Of SQuAD 2.0 (Rajpurkar and others, 2018) the paragraph asked about is taken, and those of the same article that BM25
ranks highest. Half of the questions that `statement` can turn become claims. Both sets are CC BY-SA 4.0, and so are weights trained on them; they are in the
archive that `benchmarks.nli.data` reads.

Writes ``base/`` (MiniLM-L6), ``lists.jsonl`` (training) and ``held.jsonl``. No paragraph that answers a held-out question answers one of training; of SQuAD the
first five articles are held out whole, as for the judge of entailment.
"""

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.nli.data import CONTEXTS, pinned, wheel, write_base
from benchmarks.nli.statements import statement

from bottega.core.passage import Passage
from bottega.retrieval.lexical import Lexical

SEED = 7
HELD_ARTICLES = 5
HELD_QUESTIONS = 300  # of HotpotQA


class Listed(NamedTuple):
    """What is asked, and paragraphs of which the first answers."""

    query: str
    paragraphs: Sequence[str]
    source: str


def asked(rng: random.Random, question: str, answer: str) -> str:
    """The question, or every second time the claim that it becomes with its answer, if it becomes one."""
    claim = statement(question, answer)
    return claim if claim and rng.random() < 0.5 else question


def hotpotqa(rng: random.Random, questions: Iterable[dict[str, Any]], most: int) -> Iterator[Listed]:
    """One list a question, with at most ``most`` paragraphs that do not answer."""
    for row in questions:
        paragraphs = {title: f"{title}\n{''.join(sentences).strip()}" for title, sentences in row["context"]}
        answering = {title for title, _ in row["supporting_facts"]}
        others = sorted(paragraphs.keys() - answering)
        found = sorted(answering & paragraphs.keys())
        if not others or not found:
            continue
        # "yes" and "no" answer comparisons of two paragraphs: they make no claim
        query = row["question"]
        if row["answer"] not in ("yes", "no"):
            query = asked(rng, query, row["answer"])
        chosen = rng.sample(others, min(most, len(others)))
        yield Listed(query, [paragraphs[title] for title in (rng.choice(found), *chosen)], "hotpotqa")


def squad(rng: random.Random, articles: Iterable[dict[str, Any]], most: int) -> Iterator[Listed]:
    """One list for each question that has an answer, with at most ``most`` paragraphs of the same article."""
    for article in articles:
        heading = article["title"].replace("_", " ")
        texts = [paragraph["context"] for paragraph in article["paragraphs"]]
        words = Lexical(
            [
                Passage(id=str(n), source="-", sha256="0" * 64, page=1, start=0, end=1, heading="", text=text)
                for n, text in enumerate(texts)
            ]
        )
        for place, paragraph in enumerate(article["paragraphs"]):
            for row in paragraph["qas"]:
                if row["is_impossible"]:
                    continue
                ranked = [int(hit.passage.id) for hit in words.rank(row["question"])]
                chosen = [other for other in ranked if other != place][:most]
                query = asked(rng, row["question"], row["answers"][0]["text"])
                if chosen:
                    yield Listed(query, [f"{heading}\n{texts[one]}" for one in (place, *chosen)], "squad")


def split(questions: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Questions of HotpotQA for training and held out, without an answering paragraph in common."""
    held = list(questions[:HELD_QUESTIONS])
    known = {title for row in held for title, _ in row["supporting_facts"]}
    rest = [
        row for row in questions[HELD_QUESTIONS:] if known.isdisjoint(t for t, _ in row["supporting_facts"])
    ]
    return rest, held


def read_lists(path: Path) -> list[Listed]:
    """The lists of a file, in order."""
    return [Listed(*json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lists(path: Path, lists: Sequence[Listed]) -> None:
    """One JSON array a line."""
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lists), encoding="utf-8")


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    work: Path = parser.parse_args().work
    rng = random.Random(SEED)
    write_base(work)
    with wheel(work, *CONTEXTS) as archive:
        questions, texts = (
            json.loads(pinned(archive.read(member), member))
            for name in ("hotpotqa", "squad")
            for member in (f"long_context_eval/data/synthetic/json/{name}.json",)
        )
    rng.shuffle(questions)
    rest, held = split(questions)
    articles: list[dict[str, Any]] = texts["data"]
    lists = [*hotpotqa(rng, rest, 4), *squad(rng, articles[HELD_ARTICLES:], 4)]
    rng.shuffle(lists)
    asked_of = list(squad(rng, articles[:HELD_ARTICLES], 9))
    kept = [*hotpotqa(rng, held, 9), *rng.sample(asked_of, min(HELD_QUESTIONS, len(asked_of)))]
    for name, some in (("lists", lists), ("held", kept)):
        write_lists(work / f"{name}.jsonl", some)
        print(f"{name}.jsonl: {len(some)} lists")


if __name__ == "__main__":
    main()
