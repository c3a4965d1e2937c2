"""The words in the name of an icon, without those that name its style, and the names that are marks of somebody."""

import re
from pathlib import Path

STYLES = ("thin", "regular", "bold", "solid", "shaded")  # how a drawing is made, as measured
WORDS = 6  # of a name that are read
STYLE = frozenset({  # how names say so
    "outline", "outlined", "outlines", "fill", "filled", "solid", "line", "linear", "lines", "stroke", "light", "thin", "regular",
    "bold", "medium", "extrabold", "semibold", "bxs", "bx", "bxl", "md", "round", "rounded", "sharp", "duotone", "duo", "twotone",
    "bulk", "broken", "baseline", "negative", "alt", "px", "variant", "glyph", "mono",
})  # fmt: skip
TWO = ("two-tone", "extra-bold", "semi-bold")  # words of style that hold a hyphen
SIZES = re.compile(r"\d+px|1[02568]|20|24|28|30|32|48")

# Companies, products and services: their marks are nobody's to train on, whatever the licence of the set.
BRANDS = frozenset(Path(__file__).with_name("brands.txt").read_text("utf-8").split())
BRAND_NAMES = frozenset(
    {"apple", "edge", "opera", "safari", "medium", "meta", "x", "sketch", "react", "python", "swift"}
)


def words_of(name: str) -> tuple[str, ...]:
    """``arrow-left-circle-24-filled`` -> ``arrow left circle``; a name that is all style keeps its words."""
    for two in TWO:
        name = name.replace(two, two.replace("-", ""))
    parts = [part for part in re.split(r"[^a-z0-9]+", name.casefold()) if part]
    words = [part for part in parts if part not in STYLE and not SIZES.fullmatch(part)]
    words = [re.sub(r"(?<=[a-z]{3})\d+$", "", word) for word in words]  # calendar2 is another calendar
    words = [word for word in words if not word.isdigit()] or words or parts
    return tuple(dict.fromkeys(words))


def is_brand(words: tuple[str, ...]) -> bool:
    """Whether a name is a mark: it holds a brand's, or is nothing but a word that is one."""
    return bool(BRANDS.intersection(words)) or (len(words) == 1 and words[0] in BRAND_NAMES)


def is_flag(words: tuple[str, ...], name: str) -> bool:
    """Whether a name is that of a country's flag."""
    return name.startswith("flag-for-") or (words[:1] == ("flag",) and len(words) > 1 and len(words[1]) == 2)
