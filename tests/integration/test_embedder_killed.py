"""kill -9 while another embedder's vectors are made: the old ones answer, the next call goes on, nothing is lost or there twice."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from tests.collecting import Hashed, Shelved
from tests.servers import PostgresServer

from bottega.retrieval.collections.server import Server
from bottega.retrieval.collections.store import Store

PASSAGES = 60
CHILD = """
import asyncio, sys
from pathlib import Path
from tests.collecting import Hashed
from bottega.retrieval.collections import embedding, indexing
from bottega.retrieval.collections.server import Server

def say(progress):
    print(progress.done, progress.of, flush=True)

embedding.BATCH = 4  # passages
server = Server(sys.argv[2]) if sys.argv[2] else None
indexer = indexing.Indexer(Path(sys.argv[1]), indexing.Tools(embedder=Hashed("other"), weights="1"), say, None, server)
print("end", asyncio.run(indexer.embed()).embedded, flush=True)
"""


@pytest.fixture(params=["files", "postgresql"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Shelved, str]]:
    """A collection of sixty passages, and the address of its database."""
    url = ""
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.url()
    with closing(Server(url)) if url else nullcontext() as server:
        shelved = Shelved(tmp_path, Hashed(), server)
        parts = [f"# Part {n}\n\n" + f"The heron number{n} waits. " * 20 for n in range(PASSAGES)]
        shelved.write("a.md", "\n\n".join(parts))
        shelved.index()
        yield shelved, url


def start(shelved: Shelved, url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(shelved.place), url],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # noqa: TID251 - what a child process gets
    )  # fmt: skip


def test_a_killed_change_of_embedder_goes_on_where_it_stopped(made: tuple[Shelved, str]) -> None:
    shelved, url = made
    chance = random.Random(5)
    before = [(hit.passage.heading, hit.score) for hit in shelved.search("number7 heron", method="vectors")]
    left = [PASSAGES]
    done = of = 0
    for _ in range(3):
        child = start(shelved, url)
        assert child.stdout is not None
        for line in child.stdout:
            done, of = map(int, line.split())
            assert of <= left[-1], "what was written stays written"
            if done >= chance.randint(4, 12):
                break
        child.kill()
        child.wait()
        child.stdout.close()
        left.append(of - done)
        now = [(hit.passage.heading, hit.score) for hit in shelved.search("number7 heron", method="vectors")]
        assert now == before
    last = start(shelved, url)
    out, _ = last.communicate(timeout=120)
    assert last.returncode == 0
    embedded = int(out.split()[-1])
    assert 0 < embedded <= left[-1] and left == sorted(left, reverse=True)
    with closing(Store(shelved.place, shelved.server)) as store:
        (found,) = store.rows("SELECT count(*), count(DISTINCT passage), count(DISTINCT space) FROM vectors")
        assert tuple(found) == (PASSAGES, PASSAGES, 1)
    shelved.embedder = Hashed("other")
    hits = shelved.search("number7 heron", method="vectors", top=100)
    assert len({hit.passage.id for hit in hits}) == PASSAGES and hits[0].passage.heading == "Part 7"
