"""``python -m benchmarks.judges [--python BIN]``: starts a server, asks every judge, prints one table with the failures named.

``BIN`` is the Python of an environment with ``llm-comply``, ``schemathesis``, ``langchain-tests`` and ``langchain-openai``; a judge that is not
installed there is named as not asked.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.serving import Server

DIALECTS = ("openai-chat", "anthropic", "open-responses")
LANGCHAIN = """
import os
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

HOW = {"base_url": os.environ["JUDGED_URL"] + "/v1", "api_key": os.environ["JUDGED_KEY"]}


class TestChat(ChatModelIntegrationTests):
    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        return {**HOW, "model": "standard", "temperature": 0, "max_tokens": 200}

    @property
    def has_tool_choice(self):
        return True


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self):
        return {**HOW, "model": "embed", "check_embedding_ctx_length": False}
"""


def main() -> None:
    """Ask them."""
    options = argparse.ArgumentParser()
    options.add_argument("--python", type=Path, default=Path(sys.executable))
    options.add_argument("--examples", type=int, default=30, help="requests a route, for schemathesis")
    given = options.parse_args()
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "real")
        try:
            for dialect in DIALECTS:
                rows.append((f"llm-comply, {dialect}", *_comply(given.python, server, dialect)))
            rows.append(("langchain-tests", *_langchain(given.python, server, Path(folder))))
        finally:
            server.stop()
        server = Server(Path(folder) / "fuzzed", config='engines = ["echo", "embed"]\n')
        try:
            rows.append(("schemathesis", *_schemathesis(given.python, server, given.examples)))
        finally:
            server.stop()
    print("| judge | passes | fails |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def _comply(python: Path, server: Server, dialect: str) -> tuple[str, str]:
    done = _run(
        [
            python.with_name("llm-comply"),
            "-u",
            f"{server.url}/v1",
            "-k",
            server.key,
            "-m",
            "small",
            "--format",
            dialect,
        ]
    )
    found = re.search(r"Results: (\d+)/(\d+) passed", done)
    failed = re.findall(r"❌ ([^(\n]+?) \(", done)
    return (f"{found[1]} of {found[2]}" if found else "not asked"), ", ".join(failed)


def _schemathesis(python: Path, server: Server, examples: int) -> tuple[str, str]:
    done = _run([
        python.with_name("schemathesis"), "run", f"{server.url}/openapi.json", "-H", f"Authorization: Bearer {server.key}",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--max-examples", str(examples), "--phases", "coverage,fuzzing",
    ])  # fmt: skip
    found = re.search(r"(\d+) generated, (\d+) passed", done)
    return (f"{found[2]} of {found[1]} requests" if found else "not asked"), ""


def _langchain(python: Path, server: Server, folder: Path) -> tuple[str, str]:
    (folder / "test_langchain.py").write_text(LANGCHAIN)
    environment = {"JUDGED_URL": server.url, "JUDGED_KEY": server.key}
    done = _run(
        [
            python,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--asyncio-mode=auto",
            "-W",
            "ignore",
            folder / "test_langchain.py",
        ],
        environment,
        folder,
    )
    counts = {
        word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|skipped|xfailed|error)", done)
    }
    failed = re.findall(r"FAILED \S+::(\w+)", done)
    if not counts:
        return "not asked", ""
    return json.dumps(counts).strip("{}").replace('"', ""), ", ".join(failed)


def _run(command: list[object], environment: dict[str, str] | None = None, folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=1800, check=False, cwd=folder,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    except FileNotFoundError:
        return ""
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
