"""Synopses of Debian's packages in English and as its translators put them into Italian."""

from pathlib import Path

from bottega.training.data.apt_lists import RIGHTS, fetch, held_out, source, stanzas
from bottega.training.data.base import Data, Watch
from bottega.training.data.records import Prompted, prompted


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch the lists; all packages of one source fall into one split."""
    watch("fetching the package lists, 21 MB, with apt-get")
    lists = fetch(home, "package-italian", ("en", "it"))
    return prompted(
        translated(lists.packages, lists.descriptions["en"], lists.descriptions["it"]),
        name="package-italian",
        licence=RIGHTS,
        attribution=f"Synopses of the packages of Debian {lists.release}, and the Debian Description Translation Project",
    )


def translated(packages: str, english: str, italian: str) -> list[Prompted]:
    """Each English synopsis once, the first Italian one for it, and whether it is held out."""
    said, meant = (
        {each["Description-md5"]: each.get(f"Description-{language}", "") for each in stanzas(text)}
        for text, language in ((english, "en"), (italian, "it"))
    )
    found: dict[str, tuple[str, str]] = {}
    for each in stanzas(packages):
        md5 = each.get("Description-md5", "")
        prompt, answer = (texts.get(md5, "").partition("\n")[0] for texts in (said, meant))
        if prompt and answer and prompt != answer:
            found.setdefault(prompt, (answer, source(each)))
    return [Prompted(prompt, answer, "", held_out(name)) for prompt, (answer, name) in found.items()]
