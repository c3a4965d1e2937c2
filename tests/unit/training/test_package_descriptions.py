"""Apt's lists as texts with sections: nothing twice, and no source package in both splits."""

from bottega.training.data.package_descriptions import described

PACKAGES = "".join(
    f"Package: p{i}\nSource: s{i // 3} (1.0)\nDescription: short {i}\nDescription-md5: {i}\nTag: a::b,\n c::d\n"
    f"Section: {'contrib/games' if i % 2 else 'libs'}\n\n"
    for i in range(120)
)
WORDS = "".join(
    f"Package: p{i}\nDescription-md5: {i}\nDescription-en: short {i}\n Long words: of {i}\n .\n and more.\n\n"
    for i in range(120)
)
RARE = "Package: q\nDescription-md5: 7\nSection: rare\n\nPackage: r\nDescription-md5: none\nSection: libs\n"


def test_texts_sections_and_a_split_by_source() -> None:
    rows = described(PACKAGES + RARE, WORDS, 3)
    assert len(rows) == 120  # q says what p7 says, and r says nothing
    assert rows[7][:2] == (b"short 7 Long words: of 7 and more.", "games")
    sides = [{row[2] for row in rows[start : start + 3]} for start in range(0, 120, 3)]
    assert all(len(side) == 1 for side in sides)
    assert 0 < sum(row[2] for row in rows) < 60
    other = described(PACKAGES.replace("contrib/games", "odd", 1), WORDS, 3)
    assert len(other) == 119 and {row[1] for row in other} == {"games", "libs"}


def test_a_long_text_is_cut_between_letters() -> None:
    words = f"Package: p\nDescription-md5: 1\nDescription-en: {'é' * 300}\n"
    ((text, _, _),) = described("Package: p\nDescription-md5: 1\nSection: libs\n", words, 1)
    assert text.decode() == "é" * 200
