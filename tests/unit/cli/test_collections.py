"""Index, search, list and remove at the command line, without weights."""

from pathlib import Path

from tests.unit.cli.conftest import Cli


def written(cli: Cli) -> Path:
    folder = cli.root / "handbook"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nEverybody has thirty days of leave a year.\n")
    (folder / "pay.md").write_text("# Pay\n\nSalaries of the board are secret.\n")
    (folder / "broken.pdf").write_text("no PDF")
    return folder


def test_index_search_relabel_and_remove(cli: Cli) -> None:
    folder = written(cli)
    said = cli("index", "staff", folder, "--embedder", "none")
    assert "2 indexed, 1 skipped" in said.out and "broken.pdf" in said.out and "what to do" in said.out
    hit = cli("search", "staff", "days of leave", "--json").json[0]
    assert hit["document"] == "handbook/leave.md" and hit["heading"] == "Leave" and hit["page"] == 1
    assert hit["end"] - hit["start"] == len(hit["text"])

    report = cli("index", "staff", folder / "pay.md", "--label", "board", "--json").json
    assert report["counts"] == {"relabelled": 1}
    assert cli("search", "staff", "salaries", "--json").json == []
    assert "nothing in it answers" in cli("search", "staff", "salaries").out
    assert "secret" in cli("search", "staff", "salaries", "--as", "hr, board").out
    assert cli("collections", "--json").json[0]["documents"] == 1
    assert cli("collections", "--as", "board", "--json").json[0]["documents"] == 2
    assert "handbook/leave.md" in cli("collections", "staff").out

    assert cli("index", "staff", "--remove", "handbook/leave.md", "--json").json["counts"] == {"removed": 1}
    assert cli("search", "staff", "leave days", "--json").json == []
    cli("index", "staff", "--delete")
    assert "no collection yet" in cli("collections").out


def test_what_cannot_be_done_says_what_to_do(cli: Cli) -> None:
    folder = written(cli)
    assert "bottega pull arctic-embed-s" in cli("index", "staff", folder, expect=5).err
    assert "bottega index staff PATH" in cli("search", "staff", "leave", expect=2).err
    assert "no such file" in cli("index", "staff", folder / "nothing", "--embedder", "none", expect=2).err
    assert "cannot be the name" in cli("index", "Staff!", folder, "--embedder", "none", expect=2).err
    assert (
        "is no label" in cli("index", "staff", folder, "--embedder", "none", "--label", "a,b", expect=2).err
    )
    cli("index", "staff", folder, "--embedder", "none")
    assert "has no vectors" in cli("search", "staff", "leave", "--method", "vectors", expect=2).err
    assert "no document 'x'" in cli("index", "staff", "--remove", "x", expect=2).err
