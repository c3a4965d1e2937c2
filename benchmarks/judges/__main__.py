"""``python -m benchmarks.judges [--python BIN] [--node DIR] [--only NAME]``: starts a server, asks every judge, prints a table.

``BIN`` is the Python of an environment with ``llm-comply``, ``schemathesis``, ``langchain-tests``, ``langchain-openai`` and ``llm``;
``DIR`` a folder with the npm packages ``openai``, ``ai`` and ``@ai-sdk/openai-compatible``. A judge that is not installed there is
named as not asked; failures are named.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.serving import Server

NODE = {"openai-node": "openai", "Vercel AI SDK": "ai"}
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
        return {**HOW, "model": "small", "temperature": 0, "max_tokens": 100}

    @property
    def has_tool_choice(self):
        return True


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self):
        return {**HOW, "model": "potion-base-8m", "check_embedding_ctx_length": False}
"""


def main() -> None:
    """Ask them."""
    options = argparse.ArgumentParser()
    options.add_argument("--python", type=Path, default=Path(sys.executable))
    options.add_argument("--examples", type=int, default=30, help="requests a route, for schemathesis")
    options.add_argument("--node", type=Path, default=None, help="folder that holds node_modules")
    options.add_argument("--only", default="", help="judges whose names hold this")
    given = options.parse_args()
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "real")
        try:
            judges: dict[str, Callable[[], tuple[str, str]]] = {
                f"llm-comply, {dialect}": partial(_comply, given.python, server, dialect)
                for dialect in DIALECTS
            }
            judges["llm"] = partial(_llm, given.python, server, Path(folder))
            for name, package in NODE.items():
                judges[name] = partial(_node, given.node, server, package)
            judges["langchain-tests"] = partial(_langchain, given.python, server, Path(folder))
            for name, judge in judges.items():
                if given.only in name:
                    rows.append((name, *judge()))
                    print(rows[-1], file=sys.stderr, flush=True)
        finally:
            server.stop()
        if given.only in "schemathesis":
            server = Server(Path(folder) / "fuzzed", config='engines = ["echo", "embed", "tokens"]\n')
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
    found = re.search(r"(\d+)/(\d+) passed", done)
    failed = re.findall(r"[❌✗] ([^(\n]+?) \(", done)
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


def _node(folder: Path | None, server: Server, package: str) -> tuple[str, str]:
    if folder is None or not (folder / "node_modules").is_dir():
        return "not asked", ""
    script = folder / "judge.mjs"  # packages are looked for beside the script
    script.write_bytes(Path(__file__).with_name("node.mjs").read_bytes())
    return _counted(_run(["node", script, package, server.url, server.key, "small"], folder=folder))


def _llm(python: Path, server: Server, folder: Path) -> tuple[str, str]:
    home = folder / "llm"
    home.mkdir()
    (home / "extra-openai-models.yaml").write_text(
        f"- model_id: judged\n  model_name: small\n  api_base: {server.url}/v1\n  api_key_name: judged\n"
    )
    program, where = python.with_name("llm"), {"LLM_USER_PATH": str(home)}
    ask = [program, "prompt", "-m", "judged", "--key", server.key, "-o", "max_tokens", "8"]
    if not program.exists():
        return "not asked", ""
    said = {
        "prompt": bool(_run([*ask, "--no-stream", "Say hello."], where).strip()),
        "stream": bool(_run([*ask, "Say hello."], where).strip()),
        "conversation": bool(_run([*ask, "--continue", "Again."], where).strip()),
        "error": "unknown"
        in _run([program, "prompt", "-m", "judged", "--key", "btg_wrong", "Say hello."], where),
    }
    return _counted("\n".join(f"{'pass' if good else 'fail'} {name}" for name, good in said.items()))


def _counted(lines: str) -> tuple[str, str]:
    passed = re.findall(r"^pass (.+)$", lines, re.MULTILINE)
    failed = re.findall(r"^fail (.+)$", lines, re.MULTILINE)
    return (f"{len(passed)} of {len(passed) + len(failed)}" if passed or failed else "not asked"), "; ".join(
        failed
    )


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
