"""The commands of docs/guides/ask.md, in the order in which they stand there; where words do not matter, by the smallest model."""

import re
import shlex
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli

from bottega.settings import Settings

TOP = Path(__file__).parents[2]
GUIDE = TOP / "docs" / "guides" / "ask.md"
SMALL = ("--model", "smollm2-135m-instruct")
RULED = {"Quattro": 10, "warranty?": 11}  # no model is asked: the rules know

pytestmark = [pytest.mark.weights("smollm2-135m-instruct"), pytest.mark.weights("arctic-embed-s")]


def test_the_commands_do_what_the_guide_says(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.environment |= {
        "BOTTEGA_HOME": str(Settings().home),
        "BOTTEGA_THREADS": "1",
    }  # threads wait for each other on a busy machine
    (tmp_path / "examples").symlink_to(TOP / "examples")
    few = tmp_path / "few.toml"
    few.write_text(
        '[[question]]\nask = "How long is the warranty of Rill Duo?"\n[[question]]\nask = "Do you deliver to Japan?"\n'
    )
    said: dict[str, str] = {}
    for fence in re.findall(r"```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL):
        for line in fence.splitlines():
            words = [str(few) if word.endswith("questions.toml") else word for word in shlex.split(line)][1:]
            codes = (
                {RULED.get(word, 0) for word in " ".join(words[1:2]).split()} - {0}
                if words[0] == "ask"
                else set[int]()
            )
            more = SMALL if words[0] == "ask" else ()
            process = cli.start(*words, *more)
            out, err = process.communicate(timeout=300)
            wanted = codes or ({0, 10} if words[0] == "ask" else {0})
            assert process.returncode in wanted and "Traceback" not in err, (
                line,
                process.returncode,
                out,
                err,
            )
            said[line] = out
    assert len(said) == 17
    hidden, seen = (out for line, out in said.items() if "goodwill" in line)
    assert "15 %" not in hidden and "staff/escalation.md" not in hidden and "staff/escalation.md" in seen
    follow = next(out for line, out in said.items() if "And of Rill Estate" in line)
    assert follow.startswith("asked: ") and "Estate" in follow
    assert "2 turns are gone" in said["bottega history ada --in support --forget"]
    assert "Not in the sources" in (tmp_path / "answers" / "index.html").read_text("utf-8")
