"""Compares retrieval on SciFact with LlamaIndex and Haystack, with the same embedder and on the same questions.

    python -m benchmarks.rag --data DIR [--rounds 3] [--documents 500] [--json]
    python -m benchmarks.rag --data DIR --times-only --questions 60

Needs an environment with `requirements.txt` of this folder and Bottega with the extra `retrieve`. DIR is as for `benchmarks/scifact.py`. Each
library gets every abstract as one document, with the title above it, and cuts, indexes and fuses as it does by default; the embedder
is ours (`arctic-embed-s`), so that vectors differ by nothing but what is embedded. Each library runs in a process of its own, so that
its memory is its own. First a sample is indexed in rounds, one library after the other within a round; then all of it once, and the
questions are asked in rounds in the same way. The embedding of a question counts for each alike. CPU time is that of the process
and of what it started; ratios are to Bottega in the same run.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.rag.arms import ARMS
from benchmarks.rag.process import Child


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=200, help="documents that are indexed in rounds")
    parser.add_argument("--questions", type=int, default=300, help="questions that are asked in rounds")
    parser.add_argument(
        "--times-only",
        action="store_true",
        help="give passages random vectors: times of questions in minutes, no quality",
    )
    parser.add_argument("--documents", type=int, help="only so many, to try the script")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    say = partial(print, file=sys.stderr, flush=True)
    names = [arm.__name__ for arm in ARMS]

    indexing: dict[str, list[float]] = {name: [] for name in names}
    for number in range(asked.rounds):
        for name in names:
            child = Child(name, asked.data, asked.sample)
            child.end()
            indexing[name].append(child.indexed["index_cpu_s"] / asked.sample)
        say(f"round {number + 1}: {asked.sample} documents indexed by each")

    children: dict[str, Child] = {}
    for name in names:
        start = time.perf_counter()
        children[name] = Child(name, asked.data, asked.documents, bare_time=asked.times_only)
        say(f"{name}: {children[name].indexed}, {time.perf_counter() - start:.0f} s")
    methods: dict[str, dict[str, float]] = {}
    for name, child in children.items():
        if asked.times_only:
            continue
        told = child.ask("quality")["found"]
        methods |= told
        say(f"{name}: {told}")
    spent: defaultdict[str, list[float]] = defaultdict(list)
    libraries: dict[str, dict[str, float]] = {}
    for _ in range(asked.rounds):
        for name, child in children.items():
            answer = child.ask(asked.questions)
            for method, each in answer["found"].items():
                spent[method].append(each)
            libraries[name] = {**child.indexed, "peak_mib": answer["peak_mib"]}
    for child in children.values():
        child.end()

    ours = statistics.median(indexing["bottega"])
    for name, row in libraries.items():
        row["index_cpu_s"] = round(row["index_cpu_s"], 1)
        row["index_ratio"] = round(statistics.median(indexing[name]) / ours, 3)
    fused = statistics.median(spent["bottega fusion"])
    for method, each in spent.items():
        row = methods.setdefault(method, {})
        row["cpu_ms_a_query"] = round(1000 * statistics.median(each), 2)
        row["query_ratio"] = round(statistics.median(each) / fused, 3)
    found = {"machine": machine(Path(tempfile.gettempdir())), "libraries": libraries, "methods": methods}
    if asked.json:
        print(json.dumps(found, indent=2))
        return
    print(found["machine"])
    for name, row in libraries.items():
        print(f"{name:22} {row}")
    for name, row in sorted(methods.items(), key=lambda each: -each[1].get("ndcg@10", 0.0)):
        print(f"{name:22} {row}")


if __name__ == "__main__":
    main()
