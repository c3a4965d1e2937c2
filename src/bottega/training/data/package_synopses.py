"""Debian's long descriptions with the one-line synopsis that its packagers wrote for each: summaries."""

from pathlib import Path

from bottega.training.data.apt_lists import RIGHTS, fetch, held_out, source, stanzas
from bottega.training.data.base import Data, Watch
from bottega.training.data.records import Prompted, prompted

LONGEST = 1000  # bytes kept of a description


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch the lists; all packages of one source fall into one split."""
    watch("fetching the package lists, 16 MB, with apt-get")
    lists = fetch(home, "package-synopses")
    return prompted(
        summarised(lists.packages, lists.descriptions["en"]),
        name="package-synopses",
        licence=RIGHTS,
        attribution=f"Descriptions of the packages of Debian {lists.release}",
    )


def summarised(packages: str, translations: str) -> list[Prompted]:
    """Each long description once, the first synopsis for it, and whether it is held out."""
    words = {each["Description-md5"]: each.get("Description-en", "") for each in stanzas(translations)}
    found: dict[str, tuple[str, str]] = {}
    for each in stanzas(packages):
        synopsis, _, long = words.get(each.get("Description-md5", ""), "").partition("\n")
        long = " ".join(word for word in long.split() if word != ".")
        long = long.encode()[:LONGEST].decode(errors="ignore")
        if synopsis and long:
            found.setdefault(long, (synopsis, source(each)))
    return [Prompted(long, synopsis, "", held_out(name)) for long, (synopsis, name) in found.items()]
