"""The launch kit by two doors: `bottega make` here, and its brief sent over HTTP to a server with a state of its own.

    python -m benchmarks.doors --keep DIR [--json]

Compares each artifact's `content_digest`, that of its bytes before signing. Ends with 1 if a file differs or is missing. With real models
on two cores that nobody else uses it takes about ten minutes; a kit that is in DIR already is not made again.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.serving import Server

from bottega.client import Client
from bottega.pipelines.briefs import brief_from_file

BRIEF = Path(__file__).parents[1] / "examples" / "launch-kit" / "brief.toml"


def digests(out: Path) -> dict[str, str]:
    """Of each delivered file, the digest of its bytes before it was signed."""
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    return {file["path"]: file["content_digest"] for file in manifest["artifacts"]}


def by_command(folder: Path) -> Path:
    """The kit as the command line makes it."""
    out = folder / "kit"
    if not out.is_dir():
        words = [sys.executable, "-m", "bottega", "make", str(BRIEF), "--out", str(out), "--yes"]
        subprocess.run(words, check=True, env={**os.environ, "BOTTEGA_STATE": str(folder / "state")})
    return out


def by_http(folder: Path) -> Path:
    """The kit as a server makes it."""
    out = folder / "kit"
    if not out.is_dir():
        server = Server(folder / "state")
        try:
            with Client(server.url, server.key) as shop:
                shop.make(brief_from_file(BRIEF), out=out)
        finally:
            server.stop()
    return out


def main() -> None:
    """Make both, compare, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--keep", type=Path, required=True)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    one, other = (digests(make(given.keep / name)) for name, make in (("cli", by_command), ("http", by_http)))
    differ = sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
    found = {"files": len(one), "differ": differ}
    print(json.dumps(found) if given.json else f"{len(one)} files; differ: {', '.join(differ) or 'none'}")
    sys.exit(1 if differ or not one else 0)


if __name__ == "__main__":
    main()
