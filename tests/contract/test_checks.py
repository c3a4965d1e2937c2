"""What every check keeps, whoever wrote it: found by entry point, light, described, and never fooled by garbage."""

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic_core import PydanticUndefined

from bottega.checks.base import Options, Subject
from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.core.errors import InvalidValue
from bottega.core.verdict import Outcome, Verdict
from bottega.governance.policy import Policy
from bottega.plugins import found, load

CHECKS = sorted(found("bottega.checks"))
TEXTS = [{"text": "Kettle", "color": "#ffffff", "background": "#000000", "box": [0, 0, 90, 20], "size": 20}]
GARBAGE = bytes([0xC3, 0x28, 0xFF, 0xFE, 0x80, 0x81]) * 40  # neither UTF-8 nor any container
HEAVY = (
    "numpy",
    "PIL",
    "torch",
    "onnxruntime",
    "pypdfium2",
    "jsonschema",
    "py3langid",
    "c2pa",
    "cryptography",
)


def concrete(pattern: str) -> list[str]:
    """Media types that fall under a pattern."""
    known = [
        "image/png",
        "image/jpeg",
        "image/svg+xml",
        "audio/wav",
        "video/mp4",
        "text/markdown",
        "text/csv",
    ]
    return (
        [pattern]
        if "*" not in pattern
        else [one for one in known if one.startswith(pattern.partition("*")[0])]
    )


@pytest.mark.parametrize("name", CHECKS)
def test_its_id_is_its_name_and_its_options_speak(name: str) -> None:
    check: Any = load("bottega.checks", name)
    made = check() if isinstance(check, type) else check
    assert made.id == name
    assert made.media_types
    assert all("/" in pattern for pattern in made.media_types)
    assert issubclass(made.options, Options)
    assert made.options() == made.options.model_validate({}), "every option has a default"
    for option, field in made.options.model_fields.items():
        assert field.description, f"{option} has no description"
        assert field.default is not PydanticUndefined or field.default_factory is not None
    with pytest.raises(ValueError, match="extra_forbidden"):
        made.options.model_validate({"no_such_option": 1})


@pytest.mark.parametrize("name", CHECKS)
async def test_an_undecodable_file_never_passes(name: str, tmp_path: Path) -> None:
    check: Any = load("bottega.checks", name)
    made = check() if isinstance(check, type) else check
    path = tmp_path / "garbage"
    path.write_bytes(GARBAGE)
    for media_type in {one for pattern in made.media_types for one in concrete(pattern)}:
        artifact = Artifact(sha256=digest_bytes(GARBAGE), media_type=media_type, size=len(GARBAGE))
        subject = Subject(artifact=artifact, path=path, port="out", details={"texts": TEXTS}, language="en")
        try:
            verdict: object = await made.judge(subject, made.options())
        except Exception as error:  # noqa: BLE001 - raising is how a check says that it cannot decide; that blocks
            assert str(error), media_type
            continue
        assert isinstance(verdict, Verdict), media_type
        assert verdict.check == name
        assert verdict.outcome in get_args(Outcome)
        assert verdict.outcome != "pass", f"{media_type}: {verdict.reason}"
        assert verdict.reason


def test_importing_every_check_loads_nothing_heavy() -> None:
    code = (
        "import sys; from bottega.plugins import found\n"
        "for point in found('bottega.checks').values(): point.load()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_shipped_policy_names_only_checks_and_options_that_exist_and_apply() -> None:
    from fnmatch import fnmatch

    for rule in Policy.load().rules:
        for name in rule.checks:
            check: Any = load("bottega.checks", name)
            types = [one for pattern in rule.media_types for one in concrete(pattern)]
            applying = [one for one in types if any(fnmatch(one, pattern) for pattern in check.media_types)]
            assert applying, f"{rule.name}: {name} judges none of {types}"


def test_an_unknown_check_in_a_policy_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        'format = "bottega.policy/1"\nname = "mine"\n\n[[rules]]\nname = "all"\nmedia_types = ["*"]\n'
        "[rules.checks]\nlength = { max_words = 3 }\nspelling = {}\n"
    )
    with pytest.raises(InvalidValue, match=r"line 9, rules\[0\]\.checks\.spelling.*unknown check 'spelling'"):
        Policy.load(path)
