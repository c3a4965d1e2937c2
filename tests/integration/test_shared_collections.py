"""A collection in PostgreSQL with pgvector: what one host indexes another finds, and takes out for both."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.collecting import Hashed, Shelved, outcomes
from tests.servers import PostgresServer

from bottega.bootstrap import build
from bottega.core.errors import InvalidValue, NotFound, StorageFailed
from bottega.retrieval.collections.lock import collection_lock
from bottega.retrieval.collections.memory import Memory, erase
from bottega.retrieval.collections.server import Server
from bottega.retrieval.collections.store import Store
from bottega.settings import Settings

TEXTS = {
    "a.md": "# Kettles\n\nThe kettle is green and boils quickly.",
    "b.md": "# Teapots\n\nThe teapot keeps warm.\n\n# Herons\n\nA heron waits by the river.",
    "c.txt": "Der Wasserkocher kocht das Wasser in der Kueche sehr schnell. " * 4,
}
INDEXES = """
import asyncio, sys
from pathlib import Path
from tests.collecting import Hashed
from bottega.retrieval.collections.indexing import Indexer, Tools
from bottega.retrieval.collections.server import Server

place, files, server = Path(sys.argv[1]), Path(sys.argv[2]), Server(sys.argv[3])

def say(told):
    print(told.done, flush=True)
    if told.done == 3:
        sys.stdin.readline()

indexer = Indexer(place, Tools(embedder=Hashed(), weights="1"), say, None, server)
asyncio.run(indexer.index([files]))
"""


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.url()


@pytest.fixture
def hosts(url: str, tmp_path: Path) -> Iterator[tuple[Shelved, Shelved]]:
    """Two hosts that share a collection, each with a folder and connections of its own."""
    with closing(Server(url)) as one, closing(Server(url)) as other:
        yield Shelved(tmp_path / "one", Hashed(), one), Shelved(tmp_path / "other", Hashed(), other)


def test_the_other_host_finds_the_same_as_in_files(hosts: tuple[Shelved, Shelved], tmp_path: Path) -> None:
    here, there = hosts
    alone = Shelved(tmp_path / "alone", Hashed())
    for shelved in (here, alone):
        for name, text in TEXTS.items():
            shelved.write(name, text)
        shelved.index()
    for query in ("green kettle", "what waits at the river", "Wasser kocht schnell"):
        for method in ("words", "vectors", "fusion", "rrf"):
            expected = [(hit.passage, hit.language) for hit in alone.search(query, method=method)]
            scores = [hit.score for hit in alone.search(query, method=method)]
            for shelved in (here, there):
                found = shelved.search(query, method=method)
                assert [(hit.passage, hit.language) for hit in found] == expected
                assert [hit.score for hit in found] == pytest.approx(scores, abs=1e-5)


def test_taken_out_here_is_gone_there_with_what_was_said_from_it(hosts: tuple[Shelved, Shelved]) -> None:
    here, there = hosts
    here.write("a.md", TEXTS["a.md"])
    here.write("b.md", TEXTS["b.md"])
    here.index()
    with closing(there.open()) as reader:
        assert [hit.document.name for hit in reader.search("kettle", method="words")] == ["files/a.md"]
        (document,) = [each for each in reader.documents() if each.name == "files/a.md"]
        reader.memory.keep("key", "{}", frozenset(), reader.last_change(frozenset()))
        reader.memory.remember(
            "ada", "s", "t", question="q", asked="a", outcome="answered", said="[1]", documents=[document.id]
        )
        here.remove("files/a.md")
        assert not reader.search("kettle", method="words")
        assert {hit.document.name for hit in reader.search("kettle", method="vectors")} == {"files/b.md"}
        assert reader.memory.answer("key") == ""
        (turn,) = reader.memory.turns("ada", "s", frozenset())
        assert (turn.outcome, turn.said) == ("forgotten", "[]")


def test_taken_out_there_while_it_is_read_here_does_not_come_back(hosts: tuple[Shelved, Shelved]) -> None:
    here, there = hosts
    here.write("a.md", "The pangolin is armoured.")
    here.write("b.md", TEXTS["b.md"])
    here.index()
    assert there.names("pangolin") == ["files/a.md"]
    here.write("a.md", "The pangolin is armoured and shy.")
    taken: list[str] = []

    def meanwhile() -> None:
        if not taken:
            taken.extend(there.remove("files/a.md"))
            assert there.names("pangolin") == here.names("pangolin") == []
            files = [path for path in (there.place / "words").rglob("*") if path.is_file()]
            assert files and not any(b"angolin" in path.read_bytes() for path in files)

    assert isinstance(here.embedder, Hashed)
    here.embedder.meanwhile = meanwhile
    assert outcomes(here.add(here.files)) == {"files/a.md": "removed", "files/b.md": "unchanged"}
    with closing(there.open()) as reader:
        assert [each.name for each in reader.documents()] == ["files/b.md"]
    assert here.names("pangolin") == [] and taken == ["files/a.md"]


def test_labels_hold_on_every_host(hosts: tuple[Shelved, Shelved]) -> None:
    here, there = hosts
    here.index(here.write("a.md", TEXTS["a.md"]), labels={"staff"})
    with closing(there.open()) as reader:
        assert not reader.search("kettle") and reader.counts() == (0, 0)
        staff = frozenset({"staff"})
        assert reader.search("kettle", allowed=staff) and reader.counts(allowed=staff) == (1, 1)
        here.index(labels=())
        assert reader.search("kettle", method="words")


def test_a_collection_made_anew_under_the_old_name_is_another(hosts: tuple[Shelved, Shelved]) -> None:
    here, there = hosts
    assert here.server is not None and there.server is not None
    here.write("a.md", TEXTS["a.md"])
    here.index()
    with closing(there.open()) as reader:
        assert [hit.document.name for hit in reader.search("kettle", method="words")] == ["files/a.md"]
        here.server.drop("collection")
        with pytest.raises(NotFound):
            there.open()
        here.write("a.md", TEXTS["b.md"])
        here.index()
        assert not reader.search("kettle", method="words")
        assert reader.search("heron")[0].document.name == "files/a.md"


def test_a_killed_writer_gives_the_turn_to_another_host(hosts: tuple[Shelved, Shelved], url: str) -> None:
    here, there = hosts
    assert there.server is not None
    for n in range(6):
        here.write(f"{n}.md", f"# Part {n}\n\nword{n} and the heron wait.")
    child = subprocess.Popen(
        [sys.executable, "-c", INDEXES, str(here.place), str(here.files), url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # noqa: TID251 - what a child process gets
    )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    for line in child.stdout:
        if line.strip() == "3":  # as many documents are acknowledged
            break
    with collection_lock(there.place, there.server) as held:
        assert not held
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    acknowledged = [f"files/{n}.md" for n in range(3)]
    with closing(there.open()) as reader:
        assert [each.name for each in reader.documents()][:3] == acknowledged
        assert reader.search("word1", method="words")[0].document.name == "files/1.md"
    there.files = here.files
    assert set(there.index().counts) <= {"indexed", "unchanged"}
    with closing(here.open()) as reader:
        assert [each.name for each in reader.documents()] == [f"files/{n}.md" for n in range(6)]
        assert reader.counts() == (6, 6)


def test_a_writer_that_was_taken_over_is_told(hosts: tuple[Shelved, Shelved]) -> None:
    here, there = hosts
    with closing(Store(here.place, here.server)) as store:
        document = store.begin("0" * 64, "text/plain", 1, frozenset())
        there.add()  # throws away what is not finished
        with pytest.raises(StorageFailed, match="took the collection over"):
            store.finish(document, "/a", "a", 1, ())


def test_tables_of_the_version_before_are_upgraded(hosts: tuple[Shelved, Shelved]) -> None:
    here, there = hosts
    here.write("a.md", TEXTS["a.md"])
    here.index()
    with closing(Store(here.place, here.server)) as store, store.transaction() as db:
        db.execute("ALTER TABLE answers DROP COLUMN labels")
        db.execute("DROP TABLE changes")
        db.execute("UPDATE tables_version SET version = 4")
    with closing(there.open()) as reader:
        nobody = frozenset[str]()
        reader.memory.keep("key", "{}", nobody, reader.last_change(nobody))
        assert reader.memory.answer("key") == "{}" and reader.search("kettle")
    here.remove("files/a.md")


def test_an_erasure_reaches_what_hosts_share(
    hosts: tuple[Shelved, Shelved], url: str, tmp_path: Path
) -> None:
    here, there = hosts
    here.write("a.md", TEXTS["a.md"])
    here.index()
    with closing(Store(here.place, here.server)) as store:
        with store.transaction() as db:
            db.execute("INSERT INTO answers (key, answer, holder) VALUES ('k', '{}', 'somebody')")
        erase(tmp_path, "somebody", Server(url))
        assert store.rows("SELECT count(*) FROM answers")[0][0] == 0
    with closing(there.open()) as reader:
        assert isinstance(reader.memory, Memory)


async def test_the_service_keeps_its_collections_there(url: str, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(TEXTS["a.md"])
    for host in ("one", "other"):
        settings = Settings(home=tmp_path / "home", state=tmp_path / host, collections=url)
        with closing(build(settings)) as service:
            collections = service.collections()
            if host == "one":
                await collections.index("help", [tmp_path / "a.md"], embedder="none")
            assert [each.name for each in collections.all()] == ["help"]
            (hit,) = await collections.search("help", "green kettle")
            assert hit.document.name == "a.md"
            if host == "other":
                with closing(build(replace(settings, state=tmp_path / "one"))) as first:
                    await first.collections().search("help", "green kettle")
                    collections.delete("help")
                    with pytest.raises(NotFound):
                        await first.collections().search("help", "green kettle")


def test_who_may_not_install_pgvector_is_told_who_can(postgres: PostgresServer, tmp_path: Path) -> None:
    with psycopg.connect(host=str(postgres.folder), user="bottega", dbname="postgres", autocommit=True) as db:
        db.execute("CREATE ROLE visitor LOGIN")
        db.execute("CREATE DATABASE visits OWNER visitor")
    with closing(Server(f"postgresql://visitor@/visits?host={postgres.folder}")) as server:
        with pytest.raises(StorageFailed) as refused:
            Store(tmp_path / "help", server)
        assert "CREATE EXTENSION vector" in refused.value.remedy


def test_another_database_is_refused_at_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, state=tmp_path / "state", collections="mysql://x")
    with closing(build(settings)) as service, pytest.raises(InvalidValue, match="address"):
        service.collections()
