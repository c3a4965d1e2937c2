"""A library in a process of its own, so that its memory is its own; asked over a pipe."""

import asyncio
import json
import multiprocessing
import resource
import statistics
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.rag.arms import ARMS, Search, embedder, random_passages
from benchmarks.scifact import ndcg, relevant

TOP = 100
FIRST = 3  # documents that are indexed before it counts: imports are not the work
MIB = 1024  # Linux counts a process's peak in KiB


def corpus(data: Path) -> dict[str, str]:
    """Every abstract by its id: title, empty line, text."""
    rows = map(json.loads, (data / "corpus.jsonl").read_text("utf-8").splitlines())
    return {row["_id"]: f"# {' '.join(row['title'].split())}\n\n{row['text']}\n" for row in rows}


def quality(search: Search, questions: Mapping[str, str], judged: Mapping[str, set[str]]) -> dict[str, float]:
    """NDCG and recall over the judged questions."""
    ranked = {query: search(questions[query]) for query in judged}
    found = {
        f"recall@{k}": statistics.mean(
            len({*ranked[q][:k]} & wanted) / len(wanted) for q, wanted in judged.items()
        )
        for k in (10, TOP)
    }
    gained = statistics.mean(ndcg(ranked[q], wanted) for q, wanted in judged.items())
    return {name: round(value, 4) for name, value in {"ndcg@10": gained, **found}.items()}


def cpu() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def peak() -> float:
    """The most memory that this process has held, MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB, 1)


def library(name: str, data: Path, most: int | None, bare_time: bool, orders: Connection) -> None:
    """A process of one library: indexes at once, then asks as it is told; with ``bare_time`` passages are not embedded."""
    documents, judged = dict([*corpus(data).items()][:most]), relevant(data)
    rows = map(json.loads, (data / "queries.jsonl").read_text("utf-8").splitlines())
    questions = {row["_id"]: row["text"] for row in rows if row["_id"] in judged}
    embedder()[0].query("warm")
    if bare_time:
        random_passages()
    bare = peak()
    arm = next(each for each in ARMS if each.__name__ == name)
    with tempfile.TemporaryDirectory() as folder:
        first = dict([*documents.items()][:FIRST])
        for method in asyncio.run(arm(first, Path(folder, "first"), TOP)).values():
            method("warm")
        start = cpu()
        searches = asyncio.run(arm(documents, Path(folder, "all"), TOP))
        orders.send({"index_cpu_s": cpu() - start, "bare_mib": bare, "peak_mib": peak()})
        while order := orders.recv():
            answer: dict[str, Any] = {}
            for method, search in searches.items():
                if order == "quality":
                    answer[method] = quality(search, questions, judged)
                    continue
                start = cpu()
                chosen = [*questions.values()][:order]
                for question in chosen:
                    search(question)
                answer[method] = (cpu() - start) / len(chosen)
            orders.send({"found": answer, "peak_mib": peak()})


class Child:
    """The process of a library, and what it has said."""

    def __init__(self, name: str, data: Path, most: int | None = None, *, bare_time: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._orders, theirs = context.Pipe()
        self._process = context.Process(
            target=library, args=(name, data, most, bare_time, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self.indexed: dict[str, float] = self._orders.recv()

    def ask(self, order: str | int) -> dict[str, Any]:
        """What it answers to an order: ``quality``, or so many questions of which the time is wanted."""
        self._orders.send(order)
        answer: dict[str, Any] = self._orders.recv()
        return answer

    def end(self) -> None:
        """Let it end."""
        self._orders.send("")
        self._process.join()
