"""The judges, one function each: what they ask of a server, how much of it passed, and what failed."""

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.serving import Server

HERE = Path(__file__).parent
NODE = {"openai-node": "openai", "Vercel AI SDK": "ai"}
DIALECTS = ("openai-chat", "anthropic", "open-responses")
# Names under which the suite of `openai` asks; the values are an engine here and its model.
NAMED = {
    "gpt-6-astra": ("echo", ""), "gpt-3.5-turbo-instruct": ("echo", ""), "text-embedding-3-small": ("embed", "potion-base-8m"),
    "whisper-1": ("transcribe", ""), "gpt-4o-transcribe": ("transcribe", ""), "gpt-image-1.5": ("layout", ""),
    "gpt-image-2.5-flare": ("layout", ""),
}  # fmt: skip
FILES = (
    "chat/test_completions.py", "test_completions.py", "test_embeddings.py", "test_models.py", "test_moderations.py",
    "test_files.py", "test_batches.py", "test_responses.py", "responses/test_input_items.py", "test_images.py",
    "audio/test_transcriptions.py", "audio/test_translations.py", "test_content_provenance_checks.py",
)  # fmt: skip
# What this server does not claim: kept chat completions, variations, compaction, deleting models. The content of a file is
# asked of a mock inside the suite, of no server.
UNCLAIMED = "variation or compact or (TestFiles and content) or (TestModels and delete) or (TestCompletions and (retrieve or update or list or delete))"


MANY = 16  # failed tests, above which they are counted by the part of the suite that they stand in


@dataclass(frozen=True)
class Score:
    """What a judge said; ``passed`` of ``asked``, nothing of both when it could not be asked."""

    judge: str
    model: str = ""
    passed: int = 0
    asked: int = 0
    failed: str = ""
    note: str = ""

    def row(self) -> str:
        """A line of the table."""
        score = f"{self.passed:,} of {self.asked:,}" if self.asked else "not asked"
        told = "; ".join(filter(None, (self.failed and f"fails: {self.failed}", self.note)))
        return f"| {self.judge} | {self.model} | {score} | {told} |"

    def document(self) -> dict[str, object]:
        """As it is kept."""
        return asdict(self)


def comply(python: Path, server: Server, dialect: str, model: str = "small", only: str = "") -> Score:
    """`llm-comply`: one dialect."""
    command: list[object] = [
        python, "-c", "import llm_comply.cli as cli; raise SystemExit(cli.main())", "-u", f"{server.url}/v1",
        "-k", server.key, "-m", model, "--format", dialect, "--timeout", "300", *(("-f", only) if only else ()),
    ]  # fmt: skip
    said = run(command)
    found = re.search(r"(\d+)/(\d+) passed", said) or re.search(r"All ((\d+)) tests passed", said)
    failed = ", ".join(re.findall(r"[❌✗] ([^(\n]+?) \(", said)).lower()
    skipped = ", ".join(re.findall(r"[⏭] +([^(\n]+)", said)).strip().lower()
    passed, asked = (int(found[1]), int(found[2])) if found else (0, 0)
    return Score(
        f"llm-comply, {dialect}", model, passed, asked, failed, f"skips: {skipped}" if skipped else ""
    )


def schemathesis(python: Path, server: Server, examples: int, phases: str = "coverage,fuzzing") -> Score:
    """`schemathesis`: requests made from the OpenAPI document, valid and not."""
    command: list[object] = [
        python, "-c", "import schemathesis.cli as cli; cli.schemathesis()", "run", f"{server.url}/openapi.json",
        "-H", f"Authorization: Bearer {server.key}",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--max-examples", str(examples), "--phases", phases, "--no-color",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:  # where it leaves its cache
        said = run(command, folder=Path(folder))
    found = re.search(r"(\d+) generated, (\d+) (passed|found)", said)
    if not found:
        return Score("schemathesis")
    asked = int(found[1])
    wrong = sum(int(count) for count in re.findall(r"❌ [^:\n]+: (\d+)", said.partition("Failures:")[2]))
    routes = re.search(r"Tested: (\d+)", said)
    failed = ", ".join(dict.fromkeys(re.findall(r"_+ ((?:GET|POST|PUT|DELETE) /\S+) _+", said)))
    note = f"{routes[1]} operations" if routes else ""
    return Score("schemathesis, `/openapi.json`", "every route", asked - wrong, asked, failed, note)


def langchain(python: Path, server: Server, model: str = "standard") -> Score:
    """`langchain-tests`: the suites for chat models and embeddings."""
    where = {"JUDGED_URL": server.url, "JUDGED_KEY": server.key, "JUDGED_MODEL": model}
    flags = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "-o", "asyncio_mode=auto", "-W", "ignore"]
    flags += ["-o", "asyncio_default_test_loop_scope=session"]  # connections are kept from test to test
    return _pytest(
        "langchain-tests", model, [python, "-m", "pytest", *flags, HERE / "langchain_suite.py"], where
    )


def openai_suite(python: Path, server: Server, archive: Path | None) -> Score:
    """The tests of `openai`'s source archive, which was unpacked into ``archive``."""
    if archive is None or not (archive / "tests/api_resources").is_dir():
        return Score("openai-python, its own tests")
    (archive / "judge_plugin.py").write_bytes((HERE / "openai_suite.py").read_bytes())
    where = {"TEST_API_BASE_URL": f"{server.url}/v1", "JUDGED_URL": server.url, "JUDGED_KEY": server.key}
    files = [f"tests/api_resources/{name}" for name in FILES]
    command: list[object] = [
        python, "-m", "pytest", "-q", "-p", "judge_plugin", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".",
        "-o", "asyncio_mode=auto", "-W", "ignore", "-k", f"loose and not Async and not ({UNCLAIMED})", *files,
    ]  # fmt: skip
    return _pytest("openai-python, its own tests", "echo and others", command, where, archive)


def openai_names() -> str:
    """A server's config with the names under which that suite asks."""
    rows = [
        f'[[models]]\nname = "{name}"\ntargets = [{{ engine = "{engine}", model = "{model}" }}]\n'
        for name, (engine, model) in NAMED.items()
    ]
    return "\n".join(rows)


def node(folder: Path | None, server: Server, judge: str) -> Score:
    """A client for Node.js, one case for each of its calls."""
    if folder is None or not (folder / "node_modules").is_dir():
        return Score(judge)
    script = folder / "judge.mjs"  # packages are looked for beside the script
    script.write_bytes((HERE / "node.mjs").read_bytes())
    return _counted(
        judge, "small", run(["node", script, NODE[judge], server.url, server.key, "small"], folder=folder)
    )


def llm(python: Path, server: Server, folder: Path, model: str = "small") -> Score:
    """The command `llm`: an answer, a stream, a conversation, a refusal."""
    program, home = python.with_name("llm"), folder / "llm"
    if not program.exists():
        return Score("llm, command")
    home.mkdir()
    (home / "extra-openai-models.yaml").write_text(
        f"- model_id: judged\n  model_name: {model}\n  api_base: {server.url}/v1\n  api_key_name: judged\n"
    )
    where = {"LLM_USER_PATH": str(home)}
    ask: list[object] = [program, "prompt", "-m", "judged", "--key", server.key, "-o", "max_tokens", "8"]
    wrong = [program, "prompt", "-m", "judged", "--key", "btg_wrong", "Say hello."]
    said = {
        "prompt": bool(run([*ask, "--no-stream", "Say hello."], where).strip()),
        "stream": bool(run([*ask, "Say hello."], where).strip()),
        "conversation": bool(run([*ask, "--continue", "Again."], where).strip()),
        "error": "unknown" in run(wrong, where),
    }
    return _counted(
        "llm, command",
        model,
        "\n".join(f"{'pass' if good else 'fail'} {name}" for name, good in said.items()),
    )


def run(
    command: Sequence[object], environment: dict[str, str] | None = None, folder: Path | None = None
) -> str:
    """What a program says; nothing when it is not there."""
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=3600, check=False, cwd=folder,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    except FileNotFoundError:
        return ""
    return done.stdout + done.stderr


def _pytest(
    judge: str, model: str, command: Sequence[object], where: dict[str, str], folder: Path | None = None
) -> Score:
    said = run(command, where, folder)
    counts = {
        word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|skipped|xfailed|error)", said)
    }
    named = re.findall(r"FAILED [^:\s]+::(?:Test(\w+)::)?test_(\w+)", said)
    kinds = Counter(kind for kind, _ in named)
    failed = ", ".join(dict.fromkeys(name for _, name in named))
    if len(named) > MANY and len(kinds) > 1:
        failed = ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
    passed = counts.get("passed", 0)
    asked = passed + counts.get("failed", 0) + counts.get("error", 0)
    skipped = counts.get("skipped", 0) + counts.get("xfailed", 0)
    return Score(judge, model, passed, asked, failed, f"{skipped} skipped" if skipped else "")


def _counted(judge: str, model: str, lines: str) -> Score:
    passed = re.findall(r"^pass (.+)$", lines, re.MULTILINE)
    failed = re.findall(r"^fail ([^:\n]+)", lines, re.MULTILINE)
    return Score(judge, model, len(passed), len(passed) + len(failed), ", ".join(failed))
