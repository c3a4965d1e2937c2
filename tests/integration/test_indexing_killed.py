"""kill -9 at any point of indexing: what was acknowledged is there, nothing is there twice, and the next call goes on."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.collecting import Hashed, Shelved

DOCUMENTS = 24
CHILD = """
import asyncio, sys
from pathlib import Path
from tests.collecting import Hashed
from bottega.retrieval.collections import indexing

def say(progress):
    print(progress.done, flush=True)  # as many documents, by name, are acknowledged

indexing.BATCH = 4  # passages: several commits for each document
indexing.WORDS_EVERY = 0.05  # seconds
indexer = indexing.Indexer(Path(sys.argv[1]), indexing.Tools(embedder=Hashed(), weights="1"), say)
report = asyncio.run(indexer.index([Path(sys.argv[2])]))
print("end", report.counts, flush=True)
"""


def word(n: int, part: int) -> str:
    """One that no other part has, in letters alone."""
    return f"word{n}x{part}".translate(str.maketrans("0123456789", "abcdefghij"))


def start(shelved: Shelved) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(shelved.place), str(shelved.files)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # noqa: TID251 - what a child process gets
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    shelved = Shelved(tmp_path, Hashed())
    names: list[str] = []
    for n in range(DOCUMENTS):
        parts = [
            f"# Part {p}\n\n" + f"{word(n, p)} and the heron wait. " * 20
            for p in range(chance.randint(1, 20))
        ]
        shelved.write(f"{n:03d}.md", "\n\n".join(parts))
        names.append(f"files/{n:03d}.md")
    acknowledged = 0
    for _ in range(4):
        child = start(shelved)
        assert child.stdout is not None
        stop_at = acknowledged + chance.randint(1, 8)
        for line in child.stdout:
            if line.startswith("end"):
                break
            acknowledged = max(acknowledged, int(line))
            if acknowledged >= stop_at:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=chance.random() * 0.05)
                break
        child.send_signal(signal.SIGKILL)
        for line in child.stdout:  # what it still said before it died
            acknowledged = max(acknowledged, int(line)) if line[0].isdigit() else DOCUMENTS
        child.wait()
        child.stdout.close()
        check(shelved, names, acknowledged)
    last = start(shelved)
    out, _ = last.communicate(timeout=120)
    assert last.returncode == 0 and "end" in out
    check(shelved, names, DOCUMENTS)
    assert shelved.index().counts == {"unchanged": DOCUMENTS}


def check(shelved: Shelved, names: list[str], acknowledged: int) -> None:
    """By a reader who comes right after."""
    collection = shelved.open()
    found = [each.name for each in collection.documents()]
    assert found[:acknowledged] == names[:acknowledged] and len(found) <= len(names)
    assert len(set(found)) == len(found)
    for n in range(0, len(found), 3):
        for method in ("words", "vectors"):
            hits = collection.search(word(n, 0), method=method, top=1000 if method == "vectors" else 10)
            assert len({hit.passage.id for hit in hits}) == len(hits)
            if method == "words":
                assert [hit.passage.id for hit in hits] == [f"{names[n]}#1"]
    collection.close()
    with sqlite3.connect(shelved.place / "collection.sqlite") as database:
        complete = database.execute(
            "SELECT count(*), count(vectors.row), count(DISTINCT vectors.row) FROM passages "
            "JOIN documents ON documents.id = document LEFT JOIN vectors ON passage = passages.id "
            "WHERE state = 'indexed'"
        ).fetchone()
    assert complete[0] == complete[1] == complete[2]
