"""Debian's package lists and descriptions, out of the machine's own apt, which checks their signature."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bottega.core.errors import SetupError, TransferFailed

HELD_OUT = 10  # one source package in ten
RIGHTS = "each as its package, all free by the Debian guidelines"


class Lists(NamedTuple):
    """The release's name, its list of packages, and the descriptions of each language."""

    release: str
    packages: str
    descriptions: dict[str, str]


def fetch(home: Path, wanted_by: str, languages: tuple[str, ...] = ("en",)) -> Lists:
    """The lists of Debian's main component.

    Args:
        home: they are kept in ``data/archives/apt`` of it.
        wanted_by: the data set, for errors.
        languages: of the descriptions, by their two letters.

    Raises:
        SetupError: there is no apt, or it is not Debian's.
        TransferFailed: apt could not fetch them.
    """
    if shutil.which("apt-get") is None:
        raise SetupError(
            "the data are Debian's package lists, and there is no apt-get here",
            where=wanted_by,
            remedy=f"prepare it on Debian and copy data/{wanted_by}.safetensors",
        )
    folder = home / "data" / "archives" / "apt"
    for name in ("lists/partial", "cache"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State::lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}"]
    options += ["-o", f"Acquire::Languages={','.join(languages)}"]
    if os.geteuid() == 0:  # apt's own user may not enter the home of root
        options += ["-o", "APT::Sandbox::User=root"]
    _said(wanted_by, "apt-get", *options, "--error-on=any", "update")
    told = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(CREATED_BY)|$(LANGUAGE)|$(CODENAME)|$(FILENAME)"
    rows = _said(wanted_by, "apt-get", *options, "indextargets", "--format", told).splitlines()
    files: dict[tuple[str, str], str] = {}
    release = ""
    for origin, label, component, kind, language, codename, file in (row.split("|") for row in rows):
        if (origin, label, component) == ("Debian", "Debian", "main") and "-" not in codename:
            files.setdefault((kind, language if kind == "Translations" else ""), file)
            release = release or codename
    needed = [("Packages", ""), *(("Translations", language) for language in languages)]
    if not set(needed) <= files.keys():
        raise SetupError(
            "apt has no lists of Debian's main component",
            where=wanted_by,
            remedy=f"prepare it on Debian and copy data/{wanted_by}.safetensors",
        )
    packages, *texts = [
        _said(wanted_by, "/usr/lib/apt/apt-helper", "cat-file", files[each]) for each in needed
    ]
    return Lists(release, packages, dict(zip(languages, texts, strict=True)))


def _said(wanted_by: str, *words: str) -> str:
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        why = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise TransferFailed(
            f"apt could not fetch the package lists: {why}",
            where=wanted_by,
            remedy="see that apt-get update works, and try again",
        )
    return done.stdout.decode(errors="replace")


def stanzas(text: str) -> Iterator[dict[str, str]]:
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


def source(package: Mapping[str, str]) -> str:
    """The source that a package is built from."""
    return package.get("Source", package["Package"]).partition(" ")[0]


def held_out(name: str) -> bool:
    """Whether all packages of a source are held out, because they share whole sentences."""
    return hashlib.sha256(name.encode()).digest()[0] % HELD_OUT == 0
