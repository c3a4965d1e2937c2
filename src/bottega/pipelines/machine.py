"""What a step's bytes may depend on besides its request: threads, processor, and the packages that did the work."""

import platform
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from bottega.core.canonical import digest
from bottega.core.value import JsonObject

NAME = re.compile(r"[A-Za-z0-9._-]+")


def machine(threads: int) -> JsonObject:
    """The facts as the journal keeps them: ``threads``, ``cpu`` and ``build``."""
    return {"threads": threads, "cpu": cpu(), "build": build()}


@cache
def cpu() -> str:
    """Name, family and model of the processor; on systems without ``/proc/cpuinfo`` its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").partition("\n\n")[0].splitlines()
    except OSError:
        return platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    name, family, model = (facts.get(each, "") for each in ("model name", "cpu family", "model"))
    return f"{name} {family}/{model}" if name else platform.machine()


@cache
def build() -> str:
    """Bottega's version, and 12 digits of a digest over the versions of Python and of every package it works with."""
    found = {"python": sys.version.partition(" ")[0]}
    try:
        own, needed = version("bottega"), requires("bottega") or []
    except PackageNotFoundError:
        return "not installed"
    for line in needed:
        if (match := NAME.match(line)) and "extra == 'dev'" not in line:
            try:
                found[match[0].lower()] = version(match[0])
            except PackageNotFoundError:
                continue  # an extra that is not installed here
    return f"{own}+{digest(found)[:12]}"
