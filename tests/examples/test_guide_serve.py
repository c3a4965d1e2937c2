"""The quick start of the server's guide is run: its Python as it stands, its curl as it stands, and its TOML is read."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import roles
from benchmarks.judges import __main__ as judges
from PIL import Image
from tests.serving import Server

from bottega.cli.serve import command
from bottega.server.config import read_config

CLIENT = (Path(__file__).parents[2] / "docs/guides/client.md").read_text("utf-8")
GUIDE = (Path(__file__).parents[2] / "docs/guides/serve.md").read_text("utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), environment={"BOTTEGA_THREADS": "1"})
    yield made
    assert made.stop() == 0


def test_the_three_calls_by_the_client(server: Server, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    code = code.replace("http://127.0.0.1:8080", server.url).replace('"standard"', '"small"')
    environment = {**os.environ, "KEY": server.key}  # noqa: TID251
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
    with Image.open(tmp_path / "kettle.png") as picture:
        assert picture.size == (1024, 768)
    assert (tmp_path / "kettle.mp3").stat().st_size > 5000


def test_the_three_calls_by_curl(server: Server, tmp_path: Path) -> None:
    assert shutil.which("curl")
    lines = [line.removeprefix("$ ") for line in GUIDE.splitlines() if line.startswith("$ curl $URL/v1/")][:3]
    environment = {**os.environ, "KEY": server.key, "URL": server.url}  # noqa: TID251
    for line in lines:
        line = line.replace('"standard"', '"small"').replace("curl ", "curl -sS --fail ")
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, timeout=300, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
    assert (tmp_path / "kettle.mp3").stat().st_size > 5000


def test_the_operators_file_is_read(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml server\n(.*?)```", GUIDE, re.DOTALL)
    path = tmp_path / "server.toml"
    path.write_text(text)
    config = read_config(path)
    assert config.models[0].targets[1].weight == 0 and config.guard.output == {"profanity": {}}


def test_the_guide_to_the_client_runs(server: Server, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", CLIENT, re.DOTALL)
    (tmp_path / "facts.md").write_text("The Rill kettle holds 1.2 litres.\n")
    steps = [{"id": "say", "engine": "compose", "params": {"template": "It is ready.\n"}, "path": "ready.md"}]
    code = f"key = {server.key!r}\nsteps = {steps!r}\n" + code.replace("http://127.0.0.1:8080", server.url)
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and "pipeline:run:released" in done.stdout, done.stderr
    assert (tmp_path / "out" / "ready.md").read_text() == "It is ready.\n"


def test_the_tables_are_those_that_the_scripts_make() -> None:
    for name in ("README.md", "docs/guides/serve.md"):
        document = (Path(__file__).parents[2] / name).read_text("utf-8")
        assert judges.written(document) == document
    assert roles.written(GUIDE) == GUIDE


def test_unit_and_compose_file_name_options_and_settings_that_exist() -> None:
    known = (Path(__file__).parents[2] / "src/bottega/settings.py").read_text("utf-8")
    for name in ("bottega.service", "compose.yaml"):
        text = (Path(__file__).parents[2] / "examples/serve" / name).read_text("utf-8")
        (words,) = re.findall(r"bottega serve (.+)", text)
        with command.make_context("serve", words.split()) as context:
            assert context.params["port"] == 8080
        named = set(re.findall(r"BOTTEGA_[A-Z_]+", text))
        assert named and all(f'"{each}"' in known for each in named), named
