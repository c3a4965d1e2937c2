"""What an error tells people to read is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pages_that_the_code_names_exist() -> None:
    named = {
        (path.relative_to(ROOT).as_posix(), page)
        for path in (ROOT / "src").rglob("*.py")
        for page in re.findall(r"(?<![\w/])(?<!ggml's )docs/[\w/.-]+\.md\b", path.read_text("utf-8"))
    }
    assert any(page == "docs/guides/record.md" for _, page in named)
    assert [each for each in sorted(named) if not (ROOT / each[1]).is_file()] == []
