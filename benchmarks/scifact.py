"""Measures retrieval on SciFact: 5,183 abstracts, 300 claims, relevant is what a claim's authors cite.

    python benchmarks/scifact.py --data DIR                      # words, vectors, fusion with the default embedder
    python benchmarks/scifact.py --data DIR --embedder none      # words alone, in seconds
    python benchmarks/scifact.py --data DIR --json

DIR is in BEIR's layout: corpus.jsonl and queries.jsonl with `_id`, `title`, `text`, and qrels/test.tsv. The data is that of
Wadden and others, Fact or Fiction, 2020 (allenai/scifact, CC BY-NC 2.0); BEIR offers it as scifact.zip in this layout. It is not part
of this project. Every abstract becomes one Markdown file in a temporary folder and is indexed as any document is: cut into
passages, and a document counts by its best passage.
"""

import argparse
import asyncio
import json
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bottega.catalog.catalog import Catalog
from bottega.retrieval import embed
from bottega.retrieval.collections.collection import Collection, Method
from bottega.retrieval.collections.indexing import Indexer, Tools
from bottega.settings import Settings

PASSAGES = 250  # asked for, so that a hundred documents are among them


def relevant(data: Path) -> dict[str, set[str]]:
    judged: defaultdict[str, set[str]] = defaultdict(set)
    for line in (data / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, score = line.split("\t")
        if int(score) > 0:
            judged[query].add(document)
    return dict(judged)


def ndcg(ranked: Sequence[str], wanted: set[str], k: int = 10) -> float:
    """Normalised discounted cumulative gain with gains of 0 and 1 (Jaervelin and Kekaelaeinen, 2002)."""
    gained = sum(1 / math.log2(place + 2) for place, one in enumerate(ranked[:k]) if one in wanted)
    return gained / sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))


def write_files(data: Path, folder: Path) -> None:
    for line in (data / "corpus.jsonl").read_text().splitlines():
        row = json.loads(line)
        title = " ".join(row["title"].split())
        (folder / f"{row['_id']}.md").write_text(f"# {title}\n\n{row['text']}\n")


def ranking(collection: Collection, query: str, method: Method) -> list[str]:
    hits = collection.search(query, top=PASSAGES, method=method)
    names = [Path(hit.document.name).stem for hit in hits]
    return list(dict.fromkeys(names))


def measure(data: Path, folder: Path, embedder: str, threads: int) -> dict[str, Any]:
    catalog = Catalog(Settings().home)
    tools = Tools()
    if embedder != "none":
        tools = Tools(embedder=embed.load(embedder, catalog, threads), weights=catalog.get(embedder).digest)
    place = folder / "collection"
    if not place.exists():
        files = folder / "files"
        files.mkdir(exist_ok=True)
        write_files(data, files)
    start, cpu = time.perf_counter(), time.process_time()
    indexer = Indexer(place, tools)
    report = asyncio.run(indexer.index([folder / "files"]))
    indexer.close()
    indexed = {
        "documents": sum(report.counts.values()),
        "passages": report.embedded,
        "wall_s": round(time.perf_counter() - start, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
    }

    def given(name: str) -> tuple[embed.Embedder, str]:
        assert tools.embedder is not None
        return tools.embedder, tools.weights

    collection = Collection(place, given)
    queries = {
        row["_id"]: row["text"] for row in map(json.loads, (data / "queries.jsonl").read_text().splitlines())
    }
    judged = relevant(data)
    methods: tuple[Method, ...] = ("words",) if embedder == "none" else ("words", "vectors", "fusion", "rrf")
    figures: dict[str, Any] = {}
    for method in methods:
        cpu = time.process_time()
        ranked = {query: ranking(collection, queries[query], method) for query in judged}
        cpu = time.process_time() - cpu
        figures[method] = {
            "ndcg@10": round(sum(ndcg(ranked[q], judged[q]) for q in judged) / len(judged), 4),
            "recall@100": round(
                sum(len(set(ranked[q][:100]) & judged[q]) / len(judged[q]) for q in judged) / len(judged), 4
            ),
            "queries_per_cpu_second": round(len(judged) / cpu, 1),
        }
    collection.close()
    return {"embedder": embedder, "queries": len(judged), "indexing": indexed, "methods": figures}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder in BEIR's layout")
    parser.add_argument("--embedder", default=embed.DEFAULT, choices=[*embed.EMBEDDERS, "none"])
    parser.add_argument("--keep", type=Path, help="keep the index in this folder, and use it again")
    parser.add_argument("--threads", type=int, default=Settings().threads)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(asked.data, folder, asked.embedder, asked.threads)
    if asked.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['embedder']}, {found['queries']} queries, indexing {found['indexing']}")
    for method, row in found["methods"].items():
        print(f"{method:8} {row}")


if __name__ == "__main__":
    main()
