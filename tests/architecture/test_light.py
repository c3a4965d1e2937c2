"""Nothing heavy is imported until it is used."""

import subprocess
import sys

HEAVY = (
    "numpy|PIL|onnxruntime|xllamacpp|typst|c2pa|torch|duckdb|pydantic|jinja2|rich|cryptography|ctranslate2"
)


def imported_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint('\\n'.join(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")) & set(HEAVY.split("|"))


def test_import_bottega_imports_nothing_heavy() -> None:
    assert imported_by("import bottega") == set()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "from bottega.cli import root\n"
        "from click.testing import CliRunner\n"
        "assert CliRunner().invoke(root, ['--help']).exit_code == 0"
    )
    assert imported_by(code) == set()
