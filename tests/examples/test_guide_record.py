"""The commands of docs/guides/record.md, in the order in which they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import POLICY

TOP = Path(__file__).parents[2]
GUIDE = TOP / "docs" / "guides" / "record.md"


def test_the_commands_do_what_the_guide_says(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    retention = POLICY.replace('name = "test"\n', 'name = "test"\n[retention]\nruns_days = 30\n', 1)
    (tmp_path / "policy.toml").write_text(retention)
    policy = ("--policy", "policy.toml")
    write_plan(tmp_path / "plan.json")
    cli("make", "--plan", "plan.json", *policy, "--out", "kit", "--yes", "--run-id", "kit")
    said: dict[str, str] = {}
    for fence in re.findall(r"```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL):
        for line in fence.splitlines():
            words = shlex.split(line)
            if words[0] == "export":
                cli.environment |= dict([words[1].split("=", 1)])
                continue
            before = dict(cli.environment)
            while "=" in words[0]:
                name, _, value = words.pop(0).partition("=")
                cli.environment[name] = value
            if words[0] == "python":
                script = [sys.executable, TOP / words[1], *words[2:]]
                said[line] = subprocess.run(
                    script, cwd=tmp_path, capture_output=True, text=True, check=True
                ).stdout
            else:
                more = policy if words[1] == "make" else ()
                said[line] = cli(*words[1:], *more).out
            cli.environment = before
    assert len(said) > 15
    assert said["python examples/verify_proof.py proof.json --file kit/first.txt"].startswith("proved: ")
    assert all("the record holds" in out for line, out in said.items() if "audit verify" in line)
    assert (tmp_path / "receipt.json").is_file() and (tmp_path / "letter").is_dir()
