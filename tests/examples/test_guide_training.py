"""The recipe and the commands over data of one's own in docs/guides/training.md, as they stand there."""

import re
import shlex
from pathlib import Path

from tests.unit.cli.conftest import Cli
from tests.unit.training.conftest import squares

from bottega.training.recipe import names

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "training.md").read_text("utf-8")


def test_the_commands_do_what_the_guide_says(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.environment["BOTTEGA_THREADS"] = "1"
    squares(tmp_path / "pictures")
    own = GUIDE.partition("## Your own data")[2]
    (recipe,), commands = (re.findall(rf"```{kind}\n(.*?)```", own, re.DOTALL) for kind in ("toml", "sh"))
    (tmp_path / "own-flow.toml").write_text(recipe)
    for fence in commands:
        for line in fence.splitlines():
            cli(*shlex.split(line.replace("--seeds 2", "--seeds 1"))[1:])  # half the time
    assert len(list((tmp_path / "mine").glob("*.png"))) == 4
    assert [each.suffix for each in (tmp_path / "called").iterdir()] == [".png"]
    assert "real against real" in (tmp_path / "runs" / "own" / "README.md").read_text()
    assert (tmp_path / "runs" / "own" / "export" / "velocity.int8.onnx").is_file()


def test_every_shipped_recipe_stands_in_the_guide() -> None:
    assert set(re.findall(r"bottega train ([a-z-]+) ", GUIDE)) == set(names())
