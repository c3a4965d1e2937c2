"""`bottega ask` where rules decide and no model is asked: exit codes, JSON, files of questions, pages, history."""

from pathlib import Path

from tests.unit.cli.conftest import Cli


def indexed(cli: Cli) -> None:
    folder = cli.root / "help"
    folder.mkdir()
    (folder / "warranty.md").write_text(
        "# Warranty\n\nRill One has a warranty of 24 months. Rill Duo has a warranty of 36 months.\n"
    )
    cli("index", "help", folder, "--embedder", "none")


def test_abstaining_and_asking_back_have_codes_of_their_own(cli: Cli) -> None:
    indexed(cli)
    said = cli("ask", "How long is the warranty of Rill Quattro?", "--in", "help", expect=10)
    assert (
        "not in the sources: the sources do not mention Quattro" in said.out
        and "nearest: help/warranty.md" in said.out
    )
    answer = cli("ask", "How long is the warranty?", "--in", "help", "--json", expect=11).json
    assert (answer["outcome"], answer["options"]) == ("asks_back", ["Rill One", "Rill Duo"])
    assert cli("ask", "Which colours?", "--in", "help", "--json", expect=10).json["reason"] in (
        "nothing_found",
        "passages_do_not_answer",
    )


def test_a_file_of_questions_becomes_pages(cli: Cli) -> None:
    indexed(cli)
    (cli.root / "q.toml").write_text(
        '[[question]]\nask = "How long is the warranty?"\n[[question]]\nask = "Which special colours may be ordered?"\n'
    )
    said = cli("ask", "--questions", "q.toml", "--in", "help", "--out", "answers", "--session", "s")
    assert "1/2 How long is the warranty?" in said.err and "index.html" in said.out
    page = (cli.root / "answers" / "index.html").read_text("utf-8")
    assert "Which one do you mean: Rill One, Rill Duo?" in page and "Not in the sources" in page
    assert "asks back" in cli("history", "s", "--in", "help").out
    assert cli("history", "s", "--in", "help", "--json").json["count"] == 2
    assert "2 turns are gone" in cli("history", "s", "--in", "help", "--forget").out


def test_what_cannot_be_asked_says_what_to_do(cli: Cli) -> None:
    assert "no collection 'nothing'" in cli("ask", "Why?", "--in", "nothing", expect=2).err
    indexed(cli)
    assert "give a QUESTION or --questions" in cli("ask", "--in", "help", expect=2).err
    bad = Path(cli.root / "bad.toml")
    bad.write_text("[[question]]\nwhat = 1\n")
    assert "not a file of questions" in cli("ask", "--questions", bad, "--in", "help", expect=2).err
    assert "not JSON" in cli("ask", "Why?", "--in", "help", "--schema", bad, expect=2).err
    said = cli("ask", "How long is the warranty of Rill Duo?", "--in", "help", "--json", expect=5).json
    assert said["error"]["remedy"] == "bottega pull qwen2.5-coder-1.5b-instruct"


def test_a_person_s_question_is_sealed_and_gone_after_an_erasure(cli: Cli) -> None:
    indexed(cli)
    about = ("--in", "help", "--session", "s", "--data-subject", "Ada Lovelace")
    cli("ask", "How long is the warranty of Lovelace?", *about, "--charge", "team:help", expect=10)
    assert cli("history", "s", "--in", "help", "--json").json["count"] == 0
    held = cli("history", "s", "--in", "help", "--data-subject", "Ada Lovelace", "--json").json
    assert [turn["question"] for turn in held["turns"]] == ["How long is the warranty of Lovelace?"]
    files = [path for path in cli.state.rglob("*") if path.is_file()]
    assert not [path for path in files if b"Lovelace" in path.read_bytes()]
    cli("erase", "Ada Lovelace", "--why", "letter of the 3rd", "--yes")
    assert "was erased" in cli("ask", "Why?", *about, expect=3).err
    assert "was erased" in cli("history", "s", *about[:2], *about[4:], expect=3).err
    assert "no account" in cli("ask", "Why?", "--in", "help", "--charge", "help", expect=2).err
