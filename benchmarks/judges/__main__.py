"""``python -m benchmarks.judges [--python BIN] [--node DIR] [--openai DIR] [--only NAME]``: asks every judge, keeps what they say.

``BIN`` is the Python of an environment with ``llm-comply``, ``schemathesis``, ``langchain-tests``, ``langchain-openai`` and ``llm``;
``--node`` a folder with the npm packages ``openai``, ``ai`` and ``@ai-sdk/openai-compatible``; ``--openai`` the unpacked source
archive of the Python package ``openai``. Scores are kept in ``scores.json``; the tables in README and guide are written from it.
A judge that is not installed is not asked, and keeps its last score.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.judges.suites import (
    DIALECTS,
    HERE,
    NODE,
    Score,
    comply,
    langchain,
    llm,
    node,
    openai_names,
    openai_suite,
    schemathesis,
)
from tests.serving import Server

KEPT = HERE / "scores.json"
DOCUMENTS = tuple(HERE.parents[1] / name for name in ("README.md", "docs/guides/serve.md"))
BEGIN, END = "<!-- judges: python -m benchmarks.judges -->", "<!-- /judges -->"
FUZZED = 'engines = ["echo", "embed", "tokens"]\n'  # what answers at once


def main() -> None:
    """Ask them."""
    options = argparse.ArgumentParser()
    options.add_argument("--python", type=Path, default=Path(sys.executable))
    options.add_argument("--examples", type=int, default=30, help="requests a route, for schemathesis")
    options.add_argument("--node", type=Path, default=None, help="folder that holds node_modules")
    options.add_argument("--openai", type=Path, default=None, help="folder that holds tests/api_resources")
    options.add_argument("--only", default="", help="judges whose names hold this")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        judges: dict[str, tuple[str, Callable[[Server], Score]]] = {
            f"llm-comply, {dialect}": ("", partial(_comply, given.python, dialect)) for dialect in DIALECTS
        }
        judges["llm, command"] = ("", lambda server: llm(given.python, server, home))
        for name in NODE:
            judges[name] = ("", partial(_node, given.node, name))
        judges["langchain-tests"] = ("", lambda server: langchain(given.python, server))
        judges["openai-python, its own tests"] = (
            openai_names(), lambda server: openai_suite(given.python, server, given.openai)
        )  # fmt: skip
        judges["schemathesis, `/openapi.json`"] = (
            FUZZED, lambda server: schemathesis(given.python, server, given.examples)
        )  # fmt: skip
        for number, (name, (config, judge)) in enumerate(judges.items()):
            if given.only not in name:
                continue
            server = Server(home / f"state-{number}", config=config)
            try:
                score = judge(server)
            finally:
                server.stop()
            print(score.row(), flush=True)
            if score.asked:
                keep(score)
    for path in DOCUMENTS:
        path.write_text(written(path.read_text("utf-8")), "utf-8")


def _comply(python: Path, dialect: str, server: Server) -> Score:
    return comply(python, server, dialect)


def _node(folder: Path | None, name: str, server: Server) -> Score:
    return node(folder, server, name)


def scores() -> dict[str, Score]:
    """What is kept, by judge."""
    return {name: Score(**told) for name, told in json.loads(KEPT.read_text("utf-8")).items()}


def keep(score: Score) -> None:
    """Keep a score in place of the judge's last one."""
    known = scores() | {score.judge: score}
    document = {name: known[name].document() for name in sorted(known)}
    KEPT.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def table() -> str:
    """The scores as Markdown."""
    rows = [score.row() for score in scores().values()]
    return "\n".join(["| judge | asks | passes | |", "|---|---|---|---|", *rows])


def written(document: str) -> str:
    """A document with the table as it now is."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    main()
