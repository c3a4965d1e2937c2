"""From named files and folders to sources."""

from pathlib import Path

import pytest

from bottega.core.errors import UnreadableSource
from bottega.retrieval.expand import expand, names


def lay(root: Path, **files: str) -> None:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_folders_are_walked_and_sorted(tmp_path: Path) -> None:
    lay(tmp_path, b_md="b", a_txt="a", sub__c_csv="c,d", x_exe="no", _hidden_md="h", sub___git__d_md="no")
    assert [path.relative_to(tmp_path).as_posix() for path in expand([tmp_path])] == [
        "a.txt",
        "b.md",
        "sub/c.csv",
    ]


def test_the_same_bytes_count_once(tmp_path: Path) -> None:
    lay(tmp_path, a_md="same", b_md="same", c_md="diff", d_md="longer text")
    found = expand([tmp_path / "b.md", tmp_path, tmp_path / "a.md"])
    assert [path.name for path in found] == ["a.md", "c.md", "d.md"]


def test_a_named_file_is_kept_whatever_it_is(tmp_path: Path) -> None:
    lay(tmp_path, x_exe="what", _hidden_md="h")
    assert [path.name for path in expand([tmp_path / "x.exe", tmp_path / ".hidden.md"])] == [
        ".hidden.md",
        "x.exe",
    ]


def test_links_do_not_loop_and_do_not_lead_out(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    lay(tmp_path, in__a_md="a", out__secret_md="secret")
    (inside / "loop").symlink_to(inside)
    (inside / "leak.md").symlink_to(tmp_path / "out" / "secret.md")
    (inside / "dangling.md").symlink_to(tmp_path / "nowhere.md")
    assert [path.name for path in expand([inside])] == ["a.md"]


@pytest.mark.parametrize(
    ("name", "said"), [("missing", "no such file"), ("empty", "nothing in this folder"), ("loop.md", "links")]
)
def test_what_cannot_be_used_is_refused(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x.exe").write_text("no")
    (tmp_path / "loop.md").symlink_to(tmp_path / "loop.md")
    with pytest.raises(UnreadableSource, match=said) as caught:
        expand([tmp_path / name])
    assert caught.value.where == str(tmp_path / name)
    assert caught.value.remedy


def test_names_are_unique_and_short(tmp_path: Path) -> None:
    paths = [tmp_path / "x" / "a.md", tmp_path / "y" / "a.md", tmp_path / "y" / "b.md"]
    assert list(names(paths).values()) == ["x/a.md", "y/a.md", "b.md"]
