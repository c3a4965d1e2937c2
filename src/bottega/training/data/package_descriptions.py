"""What Debian says about each of its packages, and the section that it stands in; out of the lists of the machine's own apt."""

import hashlib
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bottega.core.errors import SetupError, TransferFailed
from bottega.training.data.base import Data, Watch
from bottega.training.data.records import Row, labelled

HELD_OUT = 10  # one source package in ten
LEAST = 200  # packages of a section, or it is left out
LONGEST = 400  # bytes kept of a description


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch the lists of the release, whose signature apt checks; all packages of one source fall into one split."""
    watch("fetching the package lists, 16 MB, with apt-get")
    release, packages, translations = _lists(home / "data" / "archives" / "apt")
    return labelled(
        described(packages, translations, LEAST),
        name="package-descriptions",
        licence="each as its package, all free by the Debian guidelines",
        attribution=f"Descriptions and sections of the packages of Debian {release}",
    )


def described(packages: str, translations: str, least: int) -> list[Row]:
    """Text, section, and whether it is held out, of apt's two lists; sections of fewer than ``least`` are left out."""
    words = {each["Description-md5"]: each.get("Description-en", "") for each in _stanzas(translations)}
    found: dict[str, tuple[str, str]] = {}  # text -> section, source; of equal texts the first
    for each in _stanzas(packages):
        text = words.get(each.get("Description-md5", ""), "")
        if text and "Section" in each:
            source = each.get("Source", each["Package"]).partition(" ")[0]
            found.setdefault(_short(text), (each["Section"].rpartition("/")[2], source))
    sizes = Counter(section for section, _ in found.values())
    return [
        (text.encode(), section, _held_out(source))
        for text, (section, source) in found.items()
        if sizes[section] >= least
    ]


def _short(text: str) -> str:
    """Synopsis and the beginning of the description, on one line."""
    line = " ".join(word for word in text.split() if word != ".")
    return line.encode()[:LONGEST].decode(errors="ignore")


def _held_out(source: str) -> bool:
    return hashlib.sha256(source.encode()).digest()[0] % HELD_OUT == 0


def _lists(folder: Path) -> tuple[str, str, str]:
    """The release, and its lists of packages and of English descriptions.

    Raises:
        SetupError: there is no apt, or it is not Debian's.
        TransferFailed: apt could not fetch them.
    """
    if shutil.which("apt-get") is None:
        raise SetupError(
            "the data are Debian's package lists, and there is no apt-get here",
            where="package-descriptions",
            remedy="prepare it on Debian and copy data/package-descriptions.safetensors",
        )
    for name in ("lists/partial", "cache"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State::lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}"]
    options += ["-o", "Acquire::Languages=en"]
    if os.geteuid() == 0:  # apt's own user may not enter the home of root
        options += ["-o", "APT::Sandbox::User=root"]
    _said("apt-get", *options, "--error-on=any", "update")
    wanted = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(CREATED_BY)|$(CODENAME)|$(FILENAME)"
    rows = [
        line.split("|")
        for line in _said("apt-get", *options, "indextargets", "--format", wanted).splitlines()
    ]
    files: dict[str, str] = {}
    release = ""
    for origin, label, component, kind, codename, file in rows:
        if (origin, label, component) == ("Debian", "Debian", "main") and "-" not in codename:
            files.setdefault(kind, file)
            release = release or codename
    if not {"Packages", "Translations"} <= files.keys():
        raise SetupError(
            "apt has no lists of Debian's main component",
            where="package-descriptions",
            remedy="prepare it on Debian and copy data/package-descriptions.safetensors",
        )
    read = [
        _said("/usr/lib/apt/apt-helper", "cat-file", files[kind]) for kind in ("Packages", "Translations")
    ]
    return release, read[0], read[1]


def _said(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        why = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise TransferFailed(
            f"apt could not fetch the package lists: {why}",
            where="package-descriptions",
            remedy="see that apt-get update works, and try again",
        )
    return done.stdout.decode(errors="replace")


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """The fields of each paragraph (deb822); lines that begin with a space go on."""
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith(" "):
                fields[name] += "\n" + line
            else:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if fields:
            yield fields
