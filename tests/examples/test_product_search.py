"""The example of product search, as its README says to run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "product-search"

pytestmark = pytest.mark.weights("arctic-embed-s")


def search(state: Path, *words: str) -> str:
    command = [sys.executable, "examples/product-search/search.py", *words]
    environment = {**os.environ, "BOTTEGA_STATE": str(state)}  # noqa: TID251 - what a child process gets
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_vectors_find_what_words_do_not(tmp_path: Path) -> None:
    said = search(tmp_path / "state")
    found = {name: float(share) for name, share in re.findall(r"^(\w+) +found ([\d.]+)", said, re.MULTILINE)}
    assert found["vectors"] >= 0.95 and found["vectors"] > found["fusion"] > found["words"]
    readme = (EXAMPLE / "README.md").read_text("utf-8")
    assert all(f"{found[name]:.2f}".lstrip("0") in readme for name in found)
    first = search(tmp_path / "state", "keep", "my", "beer", "cold").splitlines()[0]
    assert "Cool box Fjord" in first
