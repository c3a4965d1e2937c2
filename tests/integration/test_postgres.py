"""PostgreSQL that goes away, comes back, and is used by several at once."""

import asyncio
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
from tests.servers import PostgresServer
from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import POLICY, echo, plan_of

from bottega.bootstrap import build, now
from bottega.core.entry import Act
from bottega.core.errors import InvalidValue, StorageFailed
from bottega.core.plan import Plan
from bottega.pipelines.runner import Event
from bottega.service import Bottega
from bottega.settings import Settings
from bottega.storage import postgres as module
from bottega.storage import schema, workers
from bottega.storage.database import Transaction
from bottega.storage.postgres import PostgreSQL
from bottega.storage.state import State, open_state


@pytest.fixture(scope="module")
def second_server() -> Iterator[PostgresServer]:
    server = PostgresServer(fsync=True)
    yield server
    server.remove()


@pytest.fixture
def own_server(second_server: PostgresServer) -> PostgresServer:
    """A server that the test may stop, and that writes to the disk as in earnest."""
    second_server.start()
    return second_server


def service(tmp_path: Path, url: str) -> Bottega:
    (tmp_path / "policy.toml").write_text(POLICY)
    settings = Settings(home=tmp_path / "home", state=tmp_path / "state", database=url)
    return build(settings, policy=tmp_path / "policy.toml")


def slow_plan(steps: int = 3) -> Plan:
    """Steps one after the other, each 0.3 s long."""
    words = {"text": "one two three", "delay": 0.1}
    return plan_of(*(echo(f"s{n}", params=words, after=(f"s{n - 1}",) if n else ()) for n in range(steps)))


def acts(state: State, subject: str) -> list[str]:
    return [entry.act.value.rpartition(":")[2] for entry in state.journal.about(subject)]


def folded(state: State) -> list[list[object]]:
    return [sorted(state.database.rows(f"SELECT * FROM {table}")) for table in schema.FOLDED_TABLES]


def test_a_restart_in_mid_run_is_waited_out(
    own_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "BEAT", 0.1)
    restarts: list[threading.Thread] = []

    def restart() -> None:
        own_server.stop("immediate")
        time.sleep(0.5)  # long enough that the step under way ends meanwhile
        own_server.start()

    def watch(event: Event) -> None:
        if event.what == "started" and event.step == "s1":
            restarts.append(threading.Thread(target=restart))
            restarts[-1].start()

    with closing(service(tmp_path, own_server.url())) as bottega:
        made = asyncio.run(bottega.make(slow_plan(), tmp_path / "out", run_id="one", watch=watch))
        for thread in restarts:
            thread.join()
        assert len(restarts) == 1
        assert made.run.state == "released"
        for step in slow_plan().steps:
            assert acts(bottega.state, f"run/one/step/{step.id}") == ["leased", "finished"]
        assert acts(bottega.state, "run/one")[-1] == "released"
        entries = bottega.state.journal.about()
        assert [entry.n for entry in entries] == list(range(len(entries)))
        before = folded(bottega.state)
        bottega.state.fold_again()
        assert folded(bottega.state) == before

        def beat() -> int:
            return bottega.state.database.rows("SELECT MAX(beat) FROM workers")[0][0]

        seen, until = beat(), time.monotonic() + 30
        while beat() == seen:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_server_that_stays_away_ends_the_run_with_what_to_do(
    own_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    url = own_server.url()

    def watch(event: Event) -> None:
        if event.what == "started" and event.step == "s1":
            own_server.stop("immediate")

    with closing(service(tmp_path, url)) as bottega:
        with pytest.raises(StorageFailed, match="check that PostgreSQL runs"):
            asyncio.run(bottega.make(slow_plan(), None, run_id="one", watch=watch))
        own_server.start()
        assert asyncio.run(bottega.resume("one")).run.state == "released"
        for step in slow_plan().steps:
            assert acts(bottega.state, f"run/one/step/{step.id}").count("finished") == 1


WORKER = """
import asyncio, sys
from pathlib import Path
from bottega.bootstrap import build
from bottega.settings import Settings
root, url = Path(sys.argv[1]), sys.argv[2]
settings = Settings(home=root / "home", state=root / "state", database=url)
bottega = build(settings, policy=root / "policy.toml")
print("ready", flush=True)
sys.stdin.readline()
made = asyncio.run(bottega.join("one"))
print(made.run.state, flush=True)
bottega.close()
"""


def test_two_workers_share_a_run(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.url()
    with closing(service(tmp_path, url)) as bottega:
        bottega.submit(slow_plan(), tmp_path / "out", run_id="one")
        words = [sys.executable, "-c", WORKER, str(tmp_path), url]
        workers_ = [
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        assert [worker.stdout.readline() for worker in workers_ if worker.stdout] == ["ready\n"] * 2
        for worker in workers_:
            assert worker.stdin
            worker.stdin.write("go\n")
            worker.stdin.flush()
        assert [worker.communicate(timeout=60)[0] for worker in workers_] == ["released\n"] * 2
        for step in slow_plan().steps:
            assert acts(bottega.state, f"run/one/step/{step.id}") == ["leased", "finished"]
        assert acts(bottega.state, "run/one").count("released") == 1
        assert (tmp_path / "out" / "text.txt").is_file()


def test_the_command_line_needs_one_setting(postgres: PostgresServer, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    write_plan(tmp_path / "plan.json")
    cli = Cli(tmp_path, {"BOTTEGA_DATABASE": postgres.url()})
    plan = ("--plan", tmp_path / "plan.json", "--policy", tmp_path / "policy.toml")
    cli("make", *plan, "--out", tmp_path / "out", "--yes", "--run-id", "mine")
    assert "mine" in cli("runs").out
    assert not (cli.state / "bottega.sqlite").exists()


def test_many_make_the_tables_at_once(postgres: PostgresServer, tmp_path: Path) -> None:
    url, together = postgres.url(), threading.Barrier(6)
    states: list[State] = []

    def work(n: int) -> None:
        together.wait()
        states.append(open_state(tmp_path / str(n), now, url=url))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(states) == 6
    for n, state in enumerate(states):
        assert state.database.version() == schema.VERSION
        assert state.journal.write(Act.FILE_DELIVERED, "run/1", actor="user:ada") == n
        state.close()


class Proxy:
    """Stands before a server and can cut a connection just before or just after COMMIT reaches it."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.cut = ""
        self.open = True
        self._server = str(server.folder / ".s.PGSQL.5432")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.open:
                    threading.Thread(target=self._carry, args=(client,), daemon=True).start()
                else:
                    client.close()

    def _carry(self, client: socket.socket) -> None:
        with (
            client,
            socket.socket(socket.AF_UNIX) as server,
            selectors.DefaultSelector() as ends,
            suppress(OSError),
        ):
            server.connect(self._server)
            ends.register(client, selectors.EVENT_READ, (server, "before", b"; COMMIT"))
            ends.register(server, selectors.EVENT_READ, (client, "after", b"COMMIT\0"))
            while True:
                for key, _ in ends.select():
                    target, moment, mark = key.data
                    source = client if target is server else server
                    data = source.recv(1 << 16)
                    if mark in data and self.cut == moment:
                        self.cut = ""
                        return
                    if not data:
                        return
                    target.sendall(data)


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[tuple[Proxy, str]]:
    folder = (
        postgres.folder / f"proxy-{os.urandom(4).hex()}"
    )  # near the server: a socket's path must be short
    folder.mkdir()
    with closing(Proxy(folder, postgres)) as standing:
        yield standing, postgres.url(host=str(folder))


def counted(
    state: State, also: Callable[[], None] = lambda: None
) -> tuple[Callable[[Transaction], int], list[int]]:
    """A change that writes one entry, and how often it was called."""
    calls: list[int] = []

    def work(transaction: Transaction) -> int:
        calls.append(len(calls))
        n = state.journal.append(transaction, Act.FILE_DELIVERED, "run/1", actor="user:ada")
        if len(calls) == 1:
            also()
        transaction.execute("SELECT 1")
        return n

    return work, calls


@pytest.mark.parametrize(("moment", "times"), [("before", 2), ("after", 1)])
def test_a_connection_lost_in_commit_is_neither_lost_nor_doubled(
    proxy: tuple[Proxy, str], tmp_path: Path, moment: str, times: int
) -> None:
    standing, url = proxy
    with closing(open_state(tmp_path, now, url=url)) as state:
        state.journal.write(Act.FILE_DELIVERED, "run/0", actor="user:ada")
        work, calls = counted(state)
        standing.cut = moment
        assert state.database.write(work) == 1
        assert standing.cut == ""
        assert len(calls) == times
        assert [entry.subject for entry in state.journal.about()] == ["run/0", "run/1"]


def test_when_nobody_can_tell_it_says_so(
    proxy: tuple[Proxy, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    standing, url = proxy
    with closing(open_state(tmp_path, now, url=url)) as state:
        standing.cut, standing.open = "after", False
        work, calls = counted(state)
        with pytest.raises(StorageFailed, match="whether the last change was written is not known"):
            state.database.write(work)
        assert len(calls) == 1
        standing.open = True
        assert state.journal.size() == 1


def test_a_connection_lost_in_mid_change_begins_it_again(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.url()

    def end_sessions() -> None:
        with psycopg.connect(host=str(postgres.folder), user="bottega", dbname="postgres") as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'bottega' AND pid <> pg_backend_pid()"
            )

    with closing(open_state(tmp_path, now, url=url)) as state:
        work, calls = counted(state, also=end_sessions)
        assert state.database.write(work) == 0
        assert len(calls) == 2
        assert state.journal.size() == 1
        end_sessions()
        assert state.journal.size() == 1


async def test_who_listens_hears_again_after_a_restart(own_server: PostgresServer, tmp_path: Path) -> None:
    url = own_server.url()
    with (
        closing(open_state(tmp_path / "a", now, url=url)) as here,
        closing(open_state(tmp_path / "b", now, url=url)) as there,
        here.database.wakes.listen() as bell,
    ):
        assert await bell.wait(30)  # it is listening now
        own_server.stop("immediate")
        own_server.start()
        bell.clear()
        await asyncio.to_thread(there.journal.write, Act.FILE_DELIVERED, "run/1", actor="user:ada")
        while not here.journal.size():
            assert await bell.wait(30)
            bell.clear()
        bell.clear()
        await asyncio.to_thread(there.journal.write, Act.FILE_DELIVERED, "run/2", actor="user:ada")
        assert await bell.wait(30)


def test_what_must_be_durable_waits_for_more_than_the_rest(postgres: PostgresServer, tmp_path: Path) -> None:
    def level(transaction: Transaction) -> str:
        return transaction.execute("SHOW synchronous_commit").fetchone()[0]

    with closing(open_state(tmp_path, now, url=postgres.url())) as state:
        assert state.database.write(level) == "local"
        assert state.database.write(level, durable=True) == "on"


def test_text_is_compared_by_its_bytes(postgres: PostgresServer, tmp_path: Path) -> None:
    with closing(open_state(tmp_path, now, url=postgres.url(schema="bytewise"))) as state:
        rows = state.database.rows(
            "SELECT DISTINCT collation_name FROM information_schema.columns "
            "WHERE table_schema = 'bytewise' AND data_type = 'text'"
        )
    assert [tuple(row) for row in rows] == [("C",)]


def test_a_wrong_address_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPENING", 0.1)
    with pytest.raises(StorageFailed, match="cannot be reached") as refused:
        PostgreSQL("postgresql://ada:s3cret@127.0.0.1:1/db")
    for told in (str(refused.value), repr(refused.value.__cause__)):
        assert "s3cret" not in told
    assert "postgresql://ada@127.0.0.1:1/db" in str(refused.value)
    for url in (
        "mysql://ada:s3cret@h/db",
        "postgresql://ada:s3cret@h/db?schema=A-B",
        "postgresql://ada:s3cret@h:x/%zz",
    ):
        with pytest.raises(InvalidValue) as invalid:
            PostgreSQL(url)
        assert "s3cret" not in str(invalid.value)
        assert invalid.value.__cause__ is None


def test_a_user_who_may_not_create_the_schema_is_told(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPENING", 0.1)
    with psycopg.connect(host=str(postgres.folder), user="bottega", dbname="postgres") as admin:
        admin.execute("CREATE ROLE guest LOGIN")
    with pytest.raises(StorageFailed, match="let this user create the schema 'closed'"):
        PostgreSQL(postgres.url(user="guest", schema="closed"))


def test_without_its_driver_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bottega.storage.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "bottega.storage.postgres_link")
    from bottega.core.errors import ExtraMissing

    with pytest.raises(ExtraMissing, match=r"bottega\[postgres\]"):
        open_state(tmp_path, now, url="postgresql://h/db")
