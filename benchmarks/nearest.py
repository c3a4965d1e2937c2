"""Measures exact search of vectors beside sketches and a graph: recall, and processor time of building and asking.

    python benchmarks/nearest.py --data DIR [--vectors 100000] [--json]

DIR is as for `benchmarks/scifact.py`. The vectors are those of real text, because random ones are all equally far from each other and
nothing finds its way among them: sentences of the abstracts, pairs and triples of neighbouring sentences, then windows of 12, 24 and
48 words, until there are enough, by the static embedder `potion-base-8m` (256 dimensions). Questions are the 300 claims. Exact
is what a collection does up to `BOTTEGA_EXACT` vectors (`VectorFile.nearest`), sketches what it does beyond (`sketch.py`). The graph (HNSW) needs
`usearch` (2.26) beside Bottega with the extra `retrieve`, and is left out where that is not installed. Ways to search take turns, question by question.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.machine import machine
from benchmarks.scifact import relevant

from bottega.catalog.catalog import Catalog
from bottega.retrieval import embed
from bottega.retrieval.collections.sketch import Sketcher, likeliest
from bottega.retrieval.collections.vectors import BLOCK, VectorFile
from bottega.retrieval.sentences import sentence_spans
from bottega.settings import Settings

MODEL = "potion-base-8m"
TOP = 100
SEARCHED = (64, 128, 256, 512)  # candidates that the graph keeps while it searches
KEPT = (1_000, 2_000, 4_000, 8_000)  # vectors that sketches leave to be multiplied
BATCH = 1000


def texts(data: Path) -> Iterator[str]:
    """Sentences, then two and three at a time, then windows of words."""
    rows = [json.loads(line) for line in (data / "corpus.jsonl").read_text("utf-8").splitlines()]
    cut = [[row["text"][a:b] for a, b in sentence_spans(row["text"])] for row in rows]
    for size in (1, 2, 3):
        for sentences in cut:
            for start in range(len(sentences) - size + 1):
                yield " ".join(sentences[start : start + size])
    for size in (12, 24, 48):
        for row in rows:
            words = row["text"].split()
            for start in range(0, len(words) - size + 1, 3):
                yield " ".join(words[start : start + size])


def embedded(model: embed.Embedder, found: list[str]) -> Any:
    """Shape (texts, 256), float32, each of length 1."""
    parts = [model.passages(found[start : start + BATCH]) for start in range(0, len(found), BATCH)]
    return np.concatenate(parts).astype(np.float32)


def measure(data: Path, count: int, folder: Path) -> dict[str, Any]:
    """Build both, ask both."""
    model = embed.load(MODEL, Catalog(Settings().home), 1)
    wanted = list(dict.fromkeys(texts(data)))[:count]
    vectors = embedded(model, wanted)
    judged = relevant(data)
    rows = map(json.loads, (data / "queries.jsonl").read_text("utf-8").splitlines())
    questions = [model.query(row["text"]) for row in rows if row["_id"] in judged]

    file = VectorFile(folder / "vectors", vectors.shape[1])
    file.write(0, vectors)
    everything = np.arange(len(vectors))
    ways: dict[str, Callable[[Any], Any]] = {"exact": lambda asked: file.nearest(asked, everything, TOP)[0]}

    sketcher = Sketcher(vectors.shape[1])
    cpu = time.process_time()
    parts = [sketcher.codes(vectors[start : start + BLOCK]) for start in range(0, len(vectors), BLOCK)]
    codes = np.concatenate(parts, axis=1)
    built = {
        "sketches_cpu_s": round(time.process_time() - cpu, 1),
        "sketches_mb": round(codes.nbytes / 1e6, 1),
    }

    def sketched(kept: int) -> Callable[[Any], Any]:
        def search(asked: Any) -> Any:
            chosen = likeliest(codes, sketcher.codes(asked[None]), kept)
            return chosen[file.nearest(asked, chosen, TOP)[0]]

        return search

    ways |= {f"sketches, {kept} multiplied": sketched(kept) for kept in KEPT}
    if find_spec("usearch"):
        usearch: Any = import_module("usearch.index")
        index = usearch.Index(ndim=vectors.shape[1], metric="ip", dtype="f32")
        cpu = time.process_time()
        index.add(everything, vectors, threads=1)
        built |= {
            "graph_cpu_s": round(time.process_time() - cpu, 1),
            "graph_mb": round(index.memory_usage / 1e6, 1),
        }

        def graph(searched: int) -> Callable[[Any], Any]:
            def search(asked: Any) -> Any:
                index.expansion_search = searched
                return index.search(asked, TOP, threads=1).keys

            return search

        ways |= {f"graph, {searched} candidates": graph(searched) for searched in SEARCHED}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    shared: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    file.nearest(questions[0], everything, TOP)  # the file is in memory
    for asked in questions:
        truth: list[int] = []
        for name, search in ways.items():
            cpu = time.process_time()
            found = [int(key) for key in search(asked)]
            spent[name].append(time.process_time() - cpu)
            truth = truth or found
            shared[name].append((len({*found[:10]} & {*truth[:10]}) / 10, len({*found} & {*truth}) / TOP))
    exact = statistics.median(spent["exact"])
    return {
        "vectors": len(vectors),
        "dimensions": vectors.shape[1],
        **built,
        "vectors_mb": round(vectors.nbytes / 1e6, 1),
        "ways": {
            name: {
                "recall@10": round(statistics.mean(ten for ten, _ in shared[name]), 4),
                "recall@100": round(statistics.mean(all_ for _, all_ in shared[name]), 4),
                "cpu_ms": round(1000 * statistics.median(each), 2),
                "ratio": round(statistics.median(each) / exact, 3),
            }
            for name, each in spent.items()
        },
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "machine": machine(Path(folder)),
            **measure(asked.data, asked.vectors, Path(folder)),
        }
    if asked.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if name != "ways":
            print(f"{name}: {value}")
    for name, row in found["ways"].items():
        print(f"{name:24} {row}")


if __name__ == "__main__":
    main()
