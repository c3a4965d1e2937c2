"""What Debian says about each of its packages, and the section that it stands in; out of the lists of the machine's own apt."""

from collections import Counter
from pathlib import Path

from bottega.training.data.apt_lists import RIGHTS, fetch, held_out, source, stanzas
from bottega.training.data.base import Data, Watch
from bottega.training.data.records import Row, labelled

LEAST = 200  # packages of a section, or it is left out
LONGEST = 400  # bytes kept of a description


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch the lists of the release, whose signature apt checks; all packages of one source fall into one split."""
    watch("fetching the package lists, 16 MB, with apt-get")
    lists = fetch(home, "package-descriptions")
    return labelled(
        described(lists.packages, lists.descriptions["en"], LEAST),
        name="package-descriptions",
        licence=RIGHTS,
        attribution=f"Descriptions and sections of the packages of Debian {lists.release}",
    )


def described(packages: str, translations: str, least: int) -> list[Row]:
    """Text, section, and whether it is held out, of apt's two lists; sections of fewer than ``least`` are left out."""
    words = {each["Description-md5"]: each.get("Description-en", "") for each in stanzas(translations)}
    found: dict[str, tuple[str, str]] = {}  # text -> section, source; of equal texts the first
    for each in stanzas(packages):
        text = words.get(each.get("Description-md5", ""), "")
        if text and "Section" in each:
            found.setdefault(_short(text), (each["Section"].rpartition("/")[2], source(each)))
    sizes = Counter(section for section, _ in found.values())
    return [
        (text.encode(), section, held_out(source_of))
        for text, (section, source_of) in found.items()
        if sizes[section] >= least
    ]


def _short(text: str) -> str:
    """Synopsis and the beginning of the description, on one line."""
    line = " ".join(word for word in text.split() if word != ".")
    return line.encode()[:LONGEST].decode(errors="ignore")
