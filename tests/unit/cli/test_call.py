"""One engine from the command line, and tables that cannot answer."""

import json

from tests.unit.cli.conftest import Cli


def test_a_call_prints_or_writes_what_the_engine_makes(cli: Cli) -> None:
    (cli.root / "a.csv").write_text("model,price\nA,10.50\nB,20.00\n")
    query = json.dumps({"table": "a", "select": [{"column": "price", "function": "max"}]})
    said = cli("call", "lookup", "--in", "tables=a.csv", "--param", f"query={query}")
    assert json.loads(said.out)["rows"] == [[20.0]]
    facts = cli(
        "call", "table", "--in", "tables=a.csv", "--param", "sort=price", "--out", "made", "--json"
    ).json
    assert [fact["port"] for fact in facts] == ["table", "rows"]
    assert (cli.root / "made" / "table.csv").read_text() == "model,price\nA,10.50\nB,20.00\n"
    (cli.root / "b.md").write_text("# Lamp\n")
    assert cli("call", "echo", "--text", "b.md", "--param", "text=hi").out == "# Lamp\n\nhi\n"


def test_what_is_wrong_with_a_call_is_said(cli: Cli) -> None:
    (cli.root / "a.md").write_text("# Lamp\n")
    assert "unknown engine 'oracle'" in cli("call", "oracle", expect=2).err
    assert "does not take text/markdown" in cli("call", "table", "--in", "tables=a.md", expect=2).err
    assert "is not NAME=VALUE" in cli("call", "echo", "--param", "loud", expect=2).err
    assert "no such file" in cli("call", "echo", "--text", "b.md", expect=2).err


def test_a_question_that_the_tables_do_not_answer(cli: Cli) -> None:
    (cli.root / "a.csv").write_text("model,price\nA,10.50\n")
    assert (
        "not in the tables: the tables hold nothing about 'loud'"
        in cli("table", "How loud is A?", "a.csv").out
    )
    assert cli("table", "How loud is A?", "a.csv", "--json").json["abstained"]
    (cli.root / "b.md").write_text("# Lamp\n")
    assert "give CSV or XLSX" in cli("table", "How loud is A?", "b.md", expect=2).err


def test_a_call_is_paid_and_refused_where_the_account_has_too_little(cli: Cli) -> None:
    (cli.root / "words.txt").write_text("two words")
    asked = ("call", "echo", "--text", "words.txt", "--charge", "project:kettles")
    assert cli(*asked).out == "two words\n"
    (row,) = [each for each in cli("budget", "list", "--json").json if each["unit"] == "word"]
    assert (row["account"], row["reserved"]) == ("project:kettles", "0")
    cli("budget", "set", "project:kettles", "--unit", "word", "--limit", "1", "--why", "test")
    assert "project:kettles has" in cli(*asked, "--seed", "4", expect=3).err
