"""`local_only` means it: real engines run in a network namespace without a network, and open no internet socket."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Cli

WATCH = """
import os, sys

def hook(event, args):
    if event.startswith("socket."):
        family = args[1] if event == "socket.__new__" else 0
        address = args[1] if event in ("socket.connect", "socket.bind", "socket.sendto") else ""
        looked_up = event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
        if family in (2, 10) or isinstance(address, tuple) or looked_up:
            with open(os.environ["SEEN"], "a") as log:
                log.write(f"{event} {args[1:]}\\n")

sys.addaudithook(hook)
"""
POLICY = """
format = "bottega.policy/1"
name = "offline"
[[rules]]
name = "all"
media_types = ["*"]
checks = { decodes = {} }
[[rules]]
name = "speech"
media_types = ["audio/*"]
checks = { speech_matches = {} }
"""
SCRIPT = "The kettle heats water to the exact degree."
CSV = "model,price\nSolo,79\nDuo,99\nTrio,129\n"


def step(
    name: str, engine: str, params: dict[str, Any], port: str = "", before: str = "", **more: Any
) -> Any:
    inputs = {port: [before]} if port else dict[str, list[str]]()
    return {
        "id": name,
        "engine": engine,
        "params": params,
        "inputs": inputs,
        "checks": {"decodes": {}},
        **more,
    }


def plan() -> Any:
    words = {"text": SCRIPT, "media_type": "text/plain"}
    steps = [
        step("script", "echo", words),
        step("rows", "echo", {"text": CSV.strip(), "media_type": "text/csv"}),
        step("line", "language", {"prompt": "Name a colour.", "max_tokens": 8, "media_type": "text/plain"},
             model="smollm2-135m-instruct", seed=7),
        step("voice", "speech", {}, "script", "script.text", checks={"decodes": {}, "speech_matches": {}}, seed=7),
        step("hero", "layout", {"kind": "hero", "title": "Halo", "width": 640, "height": 360}),
        step("page", "document", {"title": "Halo"}, "text", "script.text"),
        step("figure", "chart", {"x": "model", "y": ["price"], "title": "Prices"}, "table", "rows.text"),
    ]  # fmt: skip
    leaving = {"line.text": "line.txt", "voice.audio": "voice.wav", "hero.png": "hero.png", "page.pdf": "page.pdf",
               "figure.svg": "figure.svg"}  # fmt: skip
    return {
        "brief": {"goal": "everything without a network", "constraints": {"local_only": True}},
        "steps": steps,
        "deliverables": [{"output": o, "path": p, "title": p, "kind": "test"} for o, p in leaving.items()],
    }


@pytest.fixture
def offline(tmp_path: Path, weights: Callable[[str], Path]) -> Cli:
    """The command line without a network, with every internet socket written down."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    environment = {
        "BOTTEGA_HOME": str(weights("kokoro-82m").parents[1]),
        "BOTTEGA_THREADS": "2",
        "PYTHONPATH": str(tmp_path / "watch"),
        "SEEN": str(tmp_path / "seen"),
    }
    return Cli(tmp_path, environment, ("unshare", "-n" if os.geteuid() == 0 else "-rn"))


def test_the_watch_sees_what_it_should_and_there_is_no_network(offline: Cli) -> None:
    tries = "import socket\ntry: socket.create_connection(('127.0.0.1', 80), 1)\nexcept OSError as e: print(e.errno)"
    command = [*offline.within, sys.executable, "-c", tries]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=offline.variables)
    assert said.stdout.strip() == "101"  # ENETUNREACH: not even the loopback device is up
    assert "socket.__new__" in (offline.root / "seen").read_text()
    assert "socket.connect" in (offline.root / "seen").read_text()


@pytest.mark.weights("smollm2-135m-instruct")
@pytest.mark.weights("kokoro-82m")
@pytest.mark.weights("whisper-base")
def test_language_speech_recognition_pictures_documents_and_charts_need_no_network(offline: Cli) -> None:
    (offline.root / "plan.json").write_text(json.dumps(plan()))
    (offline.root / "policy.toml").write_text(POLICY)
    run = offline("make", "--plan", "plan.json", "--policy", "policy.toml", "--out", "out", "--json").json[
        "run"
    ]
    assert run["state"] == "released", run
    assert {each["state"] for each in run["results"]} == {"done"}
    heard = next(verdict for each in run["results"] for made in each["outputs"] for verdict in made["verdicts"]
                 if verdict["check"] == "speech_matches")  # fmt: skip
    assert heard["outcome"] in ("pass", "flag") and heard["score"] <= 0.15
    files = {path.name: path.stat().st_size for path in (offline.root / "out").iterdir() if path.is_file()}
    assert {"line.txt", "voice.wav", "hero.png", "page.pdf", "figure.svg", "index.html"} <= files.keys()
    assert all(files.values())
    for name in ("voice.wav", "hero.png", "page.pdf", "figure.svg"):
        assert offline("verify", offline.root / "out" / name, "--json").json[0]["state"] == "valid"
    assert not (offline.root / "seen").exists(), (offline.root / "seen").read_text()
