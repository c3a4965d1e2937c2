"""The commands of docs/guides/language-tasks.md, with the weights that this machine has."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli

from bottega.settings import Settings

TOP = Path(__file__).parents[2]
GUIDE = TOP / "docs" / "guides" / "language-tasks.md"


@pytest.mark.weights("potion-base-8m")
@pytest.mark.weights("qwen2.5-coder-1.5b-instruct")
def test_the_commands_do_what_the_guide_says(tmp_path: Path) -> None:
    cli = Cli(tmp_path, {"BOTTEGA_HOME": str(Settings().home)})
    shutil.copy(TOP / "tests" / "data" / "tables" / "ferries.csv", tmp_path)
    (tmp_path / "note.txt").write_text(
        "The parcel came late. Its box was wet, and the lid of the kettle is broken.\n"
    )
    said: dict[str, str] = {}
    for fence in re.findall(r"```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL):
        for line in fence.splitlines():
            said[line] = cli(*shlex.split(line)[1:]).out
    first, second, third, fourth, fifth = said.values()
    assert "ship: Fulmar, length_m: 203.3" in first and "A5 (ship: Fulmar)" in first
    assert "'loud'" in second
    assert "139" in third and '"label"' in fourth
    assert fifth.startswith("text: ") and (tmp_path / "summary" / "text.txt").read_text().strip()
