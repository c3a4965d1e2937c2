"""What the documents say is so: code compiles, commands parse, links lead somewhere, names exist."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

import bottega
from bottega import plugins
from bottega.catalog.catalog import Catalog
from bottega.catalog.model import Model
from bottega.cli import root
from bottega.core.brief import Brief
from bottega.governance.policy import Policy
from bottega.pipelines.blueprints import Blueprint, blueprints
from bottega.training.recipe import Recipe

TOP = Path(__file__).parents[2]
DOCUMENTS = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("examples/**/README.md")])
NAMES = [str(path.relative_to(TOP)) for path in DOCUMENTS]
PARSER = MarkdownIt("commonmark").enable("table")


class Fence(NamedTuple):
    """A block of code and where it stands."""

    where: str
    language: str
    text: str


def tokens(name: str) -> list[Token]:
    return PARSER.parse((TOP / name).read_text("utf-8"))


def fences(language: str) -> list[Fence]:
    return [
        Fence(f"{name}:{(token.map or [0])[0] + 1}", language, token.content)
        for name in NAMES
        for token in tokens(name)
        if token.type == "fence" and token.info.strip() == language
    ]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of the documents, as words."""
    for fence in fences("sh"):
        for line in fence.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                yield f"{fence.where}: {line.strip()}", words


def tables(name: str, head: str) -> Iterator[list[list[str]]]:
    """The rows of every table whose first column is called ``head``; a cell is its Markdown."""
    rows: list[list[str]] = []
    for token in tokens(name):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append(token.content)
        elif token.type == "table_close":
            if rows[0][0] == head:
                yield rows[1:]
            rows = []


def first_column(head: str) -> list[set[str]]:
    """For each such table in any document, the code names in its first column."""
    return [
        {code for row in rows for code in re.findall(r"`([^`]+)`", row[0])}
        for name in NAMES
        for rows in tables(name, head)
    ]


def links(name: str) -> Iterator[str]:
    for token in tokens(name):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if isinstance(target, str) and not re.match(r"[a-z]+:|#", target):
                yield target.partition("#")[0]


@pytest.mark.parametrize("fence", fences("python"), ids=lambda fence: fence.where)
def test_python_compiles_and_calls_what_exists(fence: Fence) -> None:
    compile(fence.text, fence.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert set(re.findall(r"\bbottega\.(\w+)\(", fence.text)) <= set(bottega.__all__)


@pytest.mark.parametrize("path", sorted(TOP.glob("examples/**/*.py")), ids=lambda path: path.name)
def test_examples_compile(path: Path) -> None:
    compile(path.read_text("utf-8"), str(path), "exec")


@pytest.mark.parametrize("fence", fences("toml"), ids=lambda fence: fence.where)
def test_toml_is_a_brief_a_blueprint_a_model_a_policy_or_a_recipe(fence: Fence) -> None:
    value = tomllib.loads(fence.text)
    kinds = {"goal": Brief, "steps": Blueprint, "files": Model, "rules": Policy, "fit": Recipe}
    kind = next(kind for key, kind in kinds.items() if key in value)
    kind.model_validate(value)


def test_every_command_line_parses() -> None:
    found = [(where, words) for where, words in commands() if Path(words[0]).name == "bottega"]
    assert len(found) > 15
    for where, words in found:
        command: click.Command | None = root
        rest = words[1:]
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), rest.pop(0))
        assert command is not None, f"{where}: there is no such command"
        try:
            command.make_context(command.name, rest)
        except click.UsageError as error:
            pytest.fail(f"{where}: {error.message}")


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    named = {word for _, words in commands() if words[0] == "make" for word in words[1:]}
    named |= {word for name in NAMES for word in re.findall(r"`make ([a-z]+)`", (TOP / name).read_text())}
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("name", NAMES)
def test_every_link_and_picture_is_there(name: str) -> None:
    missing = [target for target in links(name) if not ((TOP / name).parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_every_path_in_the_package_is_there(name: str) -> None:
    text = (TOP / name).read_text("utf-8")
    named = re.findall(r"`((?:src|tests|docs|examples|benchmarks)/[\w./-]+)`", text)
    inside = re.findall(r"`((?:core|engines|checks|pipelines|governance|delivery|catalog)/[\w./-]+)`", text)
    assert [path for path in named if not (TOP / path).exists()] == []
    assert [path for path in inside if not (TOP / "src/bottega" / path).exists()] == []


def test_every_setting_is_read() -> None:
    read = set(re.findall(r"BOTTEGA_[A-Z_]+", (TOP / "src/bottega/settings.py").read_text()))
    named = {word for name in NAMES for word in re.findall(r"BOTTEGA_[A-Z_]+", (TOP / name).read_text())}
    assert {"BOTTEGA_HOME", "BOTTEGA_STATE"} <= named <= read


def test_tables_name_what_exists_and_all_of_it() -> None:
    assert first_column("check") == [set(plugins.found("bottega.checks"))]
    assert first_column("engine") == [set(plugins.found("bottega.engines"))]
    assert first_column("kind") == [{each.id for each in blueprints().values() if not each.hidden}]
    models = Catalog(TOP / "none").models()
    assert first_column("model") == [{model.id for model in models if model.default}]


@pytest.mark.parametrize("row", next(tables("docs/contracts.md", "engine")), ids=lambda row: row[0])
def test_contracts_list_the_real_ports(row: list[str]) -> None:
    name, inputs, outputs = (re.findall(r"`([^`/]+)`", cell) for cell in row)
    card = plugins.load("bottega.engines", name[0]).card
    written = [f"{port.name}{'*' * port.many}{'?' * (not port.required)}" for port in card.inputs]
    assert inputs == written
    assert outputs == [port.name for port in card.outputs]


def test_every_layer_stands_in_the_architecture_in_order() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    (rows,) = tables("docs/architecture.md", "layer")
    assert [re.sub(r"`|/|\.py", "", row[0]) for row in rows] == layers
