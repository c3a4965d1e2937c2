"""Measures how fast documents are taken in, the memory that takes, and how long a search takes.

    python benchmarks/ingest.py                       # 2,000 documents, 10,000 and 100,000 vectors
    python benchmarks/ingest.py --million             # 1,000,000 vectors as well: 1.5 GB of disk
    python benchmarks/ingest.py --pages 10000         # and a PDF of so many pages
    python -m benchmarks.ingest --shared 10000        # so many vectors in PostgreSQL with pgvector, and in a file
    python benchmarks/ingest.py --json

Documents are made of random words, five passages each. Vectors are random, of 384 numbers; a search is exact. Every part runs in a
process of its own, so that the peak of memory is that of the part. Wall time is what a user waits; on a machine with other
work, compare the processor time.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bottega.catalog.catalog import Catalog
from bottega.core.passage import Passage
from bottega.retrieval import embed
from bottega.retrieval.collections import spaces
from bottega.retrieval.collections.collection import Collection
from bottega.retrieval.collections.file_vectors import kept_by
from bottega.retrieval.collections.indexing import Indexer, Tools
from bottega.retrieval.collections.store import Piece, Store
from bottega.retrieval.collections.vectors import VectorFile
from bottega.settings import Settings

DIMENSIONS = 384
SEARCHES = 20


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def words(chance: random.Random, count: int) -> str:
    """Words of a Zipf-like vocabulary of 20,000."""
    return " ".join(f"word{int(20_000 ** chance.random())}" for _ in range(count))


def documents(folder: Path, count: int, embedder: str) -> dict[str, Any]:
    """``count`` Markdown files."""
    chance = random.Random(1)
    files = folder / "files"
    files.mkdir()
    for number in range(count):
        parts = [f"# Part {part}\n\n{words(chance, 100)}." for part in range(5)]
        (files / f"{number:06d}.md").write_text("\n\n".join(parts))
    return {"documents": count, **take_in(folder, files, embedder)}


def pages(folder: Path, count: int, embedder: str) -> dict[str, Any]:
    """One PDF of ``count`` pages."""
    path = folder / "long.pdf"
    write_pdf(path, count)
    return {
        "pages": count,
        "megabytes": round(path.stat().st_size / 1e6, 1),
        **take_in(folder, path, embedder),
    }


def take_in(folder: Path, files: Path, embedder: str) -> dict[str, Any]:
    tools = Tools()
    if embedder != "none":
        catalog = Catalog(Settings().home)
        tools = Tools(
            embedder=embed.load(embedder, catalog, Settings().threads), weights=catalog.get(embedder).digest
        )
    before = peak_mb()
    start, cpu = time.perf_counter(), time.process_time()
    indexer = Indexer(folder / "collection", tools)
    report = asyncio.run(indexer.index([files]))
    indexer.close()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert report.counts.keys() == {"indexed"}, report.counts
    again, again_cpu = time.perf_counter(), time.process_time()
    indexer = Indexer(folder / "collection", tools)
    assert asyncio.run(indexer.index([files])).counts.keys() == {"unchanged"}
    indexer.close()
    again, again_cpu = time.perf_counter() - again, time.process_time() - again_cpu
    passages = sum(told.passages for told in report.documents)
    collection = Collection(folder / "collection", lambda name: (tools.embedder or _no(name), tools.weights))
    collection.search("word7 word12", method="words")
    chance = random.Random(2)
    begun = time.process_time()
    for _ in range(SEARCHES):
        collection.search(words(chance, 6), method="words")
    searched = time.process_time() - begun
    collection.close()
    return {
        "embedder": embedder,
        "passages": passages,
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "passages_per_cpu_s": round(passages / cpu, 1),
        "unchanged_wall_s": round(again, 2),
        "unchanged_cpu_s": round(again_cpu, 2),
        "words_search_cpu_ms": round(1000 * searched / SEARCHES, 2),
        "disk_mb": round(
            sum(p.stat().st_size for p in (folder / "collection").rglob("*") if p.is_file()) / 1e6, 1
        ),
        "peak_mb": peak_mb(),
        "peak_before_mb": before,
    }


def _no(name: str) -> embed.Embedder:
    raise LookupError(name)


def vectors(folder: Path, count: int) -> dict[str, Any]:
    """Exact search among ``count`` vectors: all of them, and a tenth that a user may see."""
    chance = np.random.default_rng(1)
    file = VectorFile(folder / "vectors.f32", DIMENSIONS)
    for start in range(0, count, 50_000):
        file.write(start, embed.unit(chance.standard_normal((min(50_000, count - start), DIMENSIONS))))
    rows = np.arange(count, dtype=np.int64)
    found: dict[str, Any] = {"vectors": count, "disk_mb": round(file.path.stat().st_size / 1e6)}
    for name, seen in (("all", rows), ("tenth", np.sort(chance.choice(rows, count // 10, replace=False)))):
        queries = embed.unit(chance.standard_normal((SEARCHES, DIMENSIONS)))
        file.nearest(queries[0], seen, 100)
        walls: list[float] = []
        cpu = time.process_time()
        for query in queries:
            start = time.perf_counter()
            file.nearest(query, seen, 100)
            walls.append(time.perf_counter() - start)
        found[f"{name}_cpu_ms"] = round(1000 * (time.process_time() - cpu) / SEARCHES, 2)
        found[f"{name}_wall_p50_ms"] = round(1000 * float(np.median(walls)), 2)
        found[f"{name}_wall_p95_ms"] = round(1000 * float(np.quantile(walls, 0.95)), 2)
    return found | {"peak_mb": peak_mb()}


def shared(folder: Path, count: int) -> dict[str, Any]:
    """Exact search among the same vectors in a file and in PostgreSQL, through the tables of a collection; processor time of both sides."""
    from tests.servers import PostgresServer

    from bottega.retrieval.collections.server import Server

    server = PostgresServer()
    try:
        server.start()
        there = Server(server.url())
        found: dict[str, Any] = {"vectors": count}
        for name, where in (("file", None), ("pgvector", there)):
            found |= {
                f"{name}_{what}": value for what, value in one_store(folder / name, where, count).items()
            }
        there.close()
        return found
    finally:
        server.remove()


def one_store(folder: Path, server: Any, count: int) -> dict[str, Any]:
    chance = np.random.default_rng(1)
    store = Store(folder, server)
    kept = kept_by(store)
    backend = store.rows("SELECT pg_backend_pid()")[0][0] if server else 0

    def cpu() -> float:
        fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split() if backend else ()
        return time.process_time() + sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    begun = cpu()
    embedder = Directions()
    space = spaces.prepared(store, embedder, "1")
    document = store.begin("0" * 64, "text/plain", 1, frozenset())
    for start in range(0, count, 500):
        some = embed.unit(chance.standard_normal((min(500, count - start), DIMENSIONS)))
        pieces = [
            Piece(
                Passage(id=f"a#{start + n}", source="a", sha256="0" * 64, page=1, start=n, end=n + 1, heading="", text="a"),
                "en", "plain", vector,
            )
            for n, vector in enumerate(kept.keep(space, some))
        ]  # fmt: skip
        store.add(document, pieces, frozenset(), space.id)
    store.finish(document, "/a", "a", 1, ())
    put = cpu() - begun
    (shelf,) = store.rows("SELECT id FROM shelves")[0]
    queries = embed.unit(chance.standard_normal((SEARCHES, DIMENSIONS)))
    kept.nearest(space, queries[0], [shelf], 100)
    begun = cpu()
    best = [kept.nearest(space, query, [shelf], 100)[0][1] for query in queries]
    searched = cpu() - begun
    store.close()
    return {
        "put_cpu_s": round(put, 2), "search_cpu_ms": round(1000 * searched / SEARCHES, 2), "best": round(sum(best), 4)
    }  # fmt: skip


class Directions:
    """Names a space of random vectors; embeds nothing."""

    id = "random"
    dimensions = DIMENSIONS

    def passages(self, texts: Sequence[str]) -> embed.Vectors:
        raise NotImplementedError

    def query(self, text: str) -> embed.Vectors:
        raise NotImplementedError


def write_pdf(path: Path, count: int) -> None:
    """A plain PDF: three objects a page are written by hand, because a typesetter would need the memory that is measured."""
    chance = random.Random(3)
    places: list[int] = []
    with path.open("wb") as file:
        file.write(b"%PDF-1.4\n")

        def put(number: int, body: bytes) -> None:
            places.append(file.tell())
            file.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))

        kids = b" ".join(b"%d 0 R" % (4 + 2 * page) for page in range(count))
        put(1, b"<</Type/Catalog/Pages 2 0 R>>")
        put(2, b"<</Type/Pages/Count %d/Kids[%s]>>" % (count, kids))
        put(3, b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
        for page in range(count):
            lines = [words(chance, 10) for _ in range(30)]
            said = b"".join(b"(%s) Tj T*\n" % line.encode() for line in lines)
            stream = b"BT /F1 10 Tf 14 TL 50 780 Td\n%sET" % said
            put(
                4 + 2 * page,
                b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R"
                b"/Resources<</Font<</F1 3 0 R>>>>>>" % (5 + 2 * page),
            )
            put(5 + 2 * page, b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream))
        start = file.tell()
        file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1))
        file.writelines(b"%010d 00000 n \n" % place for place in places)
        file.write(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, start))


def alone(part: str, count: int, embedder: str) -> dict[str, Any]:
    """One part in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.ingest",
        "--part",
        part,
        "--count",
        str(count),
        "--embedder",
        embedder,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--pages", type=int, default=0)
    parser.add_argument("--shared", type=int, default=0)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--embedder", default="potion-base-8m", choices=[*embed.EMBEDDERS, "none"])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", choices=["documents", "pages", "vectors", "shared"], help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        with tempfile.TemporaryDirectory() as folder:
            match asked.part:
                case "documents":
                    found = documents(Path(folder), asked.count, asked.embedder)
                case "pages":
                    found = pages(Path(folder), asked.count, asked.embedder)
                case "shared":
                    found = shared(Path(folder), asked.count)
                case _:
                    found = vectors(Path(folder), asked.count)
        print(json.dumps(found))
        return
    parts = [("documents", asked.documents), ("vectors", 10_000), ("vectors", 100_000)]
    parts += [("vectors", 1_000_000)] if asked.million else []
    parts += [("pages", asked.pages)] if asked.pages else []
    parts = [("shared", asked.shared)] if asked.shared else parts
    rows = [{"part": part, **alone(part, count, asked.embedder)} for part, count in parts]
    if asked.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
