"""Fixtures that every test may use."""

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from tests.servers import PostgresServer

from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.engines.base import Bench
from bottega.settings import Settings

# A busy machine is no fault of the code: how long an example takes is measured in benchmarks, not judged here.
hypothesis_settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def weights() -> Callable[[str], Path]:
    """A catalog model's folder; `make test` has pulled it."""
    models = Settings().home / "models"

    def folder(model: str) -> Path:
        path = models / model
        assert path.is_dir(), f"run: bottega pull {model}"
        return path

    return folder


class Files:
    """An artifact store in a folder: what tests hand to engines."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, content: Path | bytes | str, media_type: str) -> Artifact:
        if isinstance(content, str):
            content = content.encode()
        data = content if isinstance(content, bytes) else content.read_bytes()
        sha256 = digest_bytes(data)
        (self.root / sha256).write_bytes(data)
        return Artifact(sha256=sha256, media_type=media_type, size=len(data))

    def locate(self, artifact: Artifact) -> Path:
        return self.root / artifact.sha256


@pytest.fixture
def store_file(tmp_path: Path) -> Files:
    """Call it with bytes, text or a path to get an `Artifact` that `bench` can locate."""
    root = tmp_path / "artifacts"
    root.mkdir()
    return Files(root)


@pytest.fixture
def bench(tmp_path: Path, store_file: Files, weights: Callable[[str], Path]) -> Bench:
    """A bench over `store_file`."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Bench(scratch=scratch, locate=store_file.locate, weights=weights)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that speaks S3, in a process of its own."""
    log = tmp_path_factory.mktemp("s3") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            for _ in range(600):
                if "Running on " in (said := log.read_text()):
                    break
                assert server.poll() is None, said
                time.sleep(0.1)
            yield log.read_text().partition("Running on ")[2].split()[0]
        finally:
            server.terminate()


@pytest.fixture
def bucket(s3_server: str) -> str:
    """The URL of a new bucket."""
    name = f"b-{uuid.uuid4().hex}"
    with urlopen(Request(f"{s3_server}/{name}", method="PUT"), timeout=30) as answer:
        assert answer.status == 200
    return f"s3://{name}/store/one?endpoint={s3_server}&region=us-east-1"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests; ``url()`` gives each of them a schema of its own."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def database_url() -> str:
    """The database of the state: the SQLite file. Modules that run on both give their own, `either_database`."""
    return ""


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(request: pytest.FixtureRequest) -> str:
    """The setting of the state's database: each test runs on SQLite and on a new schema of a real PostgreSQL."""
    if request.param == "sqlite":
        return ""
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url()
