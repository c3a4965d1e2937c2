"""The workshop runs an engine where its card says, and ends it."""

import asyncio
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bottega import plugins
from bottega.core.errors import Cancelled, EngineDied
from bottega.core.request import Request
from bottega.pipelines.workshop import Workshop

PLUGINS = Path(__file__).parents[1] / "engines" / "plugins"


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The unruly engine as a package of somebody else's."""
    facts = tmp_path / "unruly-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: unruly\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[bottega.engines]\nunruly = unruly:Unruly\n")
    for folder in (PLUGINS, tmp_path):
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    plugins.found.cache_clear()
    yield
    plugins.found.cache_clear()


def pid(shop: Workshop) -> int:
    (file,) = asyncio.run(shop.ask(Request(engine="unruly")))
    return int(file.data or b"")


def test_an_engine_runs_in_its_process_until_the_workshop_closes(shop: Workshop) -> None:
    found = pid(shop)
    assert found != os.getpid()
    assert pid(shop) == found
    shop.close()
    assert pid(shop) != found
    shop.close()


def test_without_isolation_all_run_here(shop: Workshop) -> None:
    assert pid(replace(shop, isolate=False)) == os.getpid()


def test_light_engines_run_here(shop: Workshop) -> None:
    (file,) = asyncio.run(shop.ask(Request(engine="echo", params={"text": "here"})))
    assert file.data == b"here"
    shop.close()


def test_the_stop_signal_and_a_death_come_through(shop: Workshop) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Cancelled):
        asyncio.run(shop.ask(Request(engine="unruly", params={"act": "hold"}), stop))
    with pytest.raises(EngineDied, match="exit code 4"):
        asyncio.run(shop.ask(Request(engine="unruly", params={"act": "print"})))
    assert {path.name for path in shop.scratch.rglob("*") if path.is_file()} <= {"lock", "alive"}
    shop.close()
    assert [path for path in shop.scratch.iterdir() if path.is_dir()] == []
