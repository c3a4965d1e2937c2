"""Package archives from the registries that the user's own pip and npm are configured for.

Each fetch runs one command that only downloads: no package is installed and no script of a package runs.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bottega.catalog.model import Archive, Registry
from bottega.core.errors import BottegaError, Cancelled, SetupError, StorageFailed, TransferFailed

Report = Callable[[float], None]
"""Told the fraction fetched, 0 to 1."""

Fetch = Callable[[Archive, Path, Report, threading.Event], Path]
"""Fetch an archive into an empty folder and return its path; stop soon after the event is set."""

TICK = 0.2  # seconds
_PIP_PROGRESS = re.compile(rb"Progress (\d+) of (\d+)")
_SAID = re.compile(r"ERROR:|npm error (?!code|A complete log|In most cases|syscall|errno|path)\S+ \S")
_OFFLINE = re.compile(
    r"NewConnectionError|ConnectionError|Failed to establish|name resolution|Max retries|timed out|ProxyError"
    r"|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EIDLETIMEOUT",
    re.IGNORECASE,
)


def pip_fetch(command: Sequence[str] = (sys.executable, "-m", "pip"), options: Sequence[str] = ()) -> Fetch:
    """A fetch through ``pip download``; ``options`` come last, for example ``--find-links FOLDER``."""

    def fetch(archive: Archive, folder: Path, report: Report, stop: threading.Event) -> Path:
        log = folder / "pip.log"

        def look() -> None:
            if found := _PIP_PROGRESS.findall(_tail(log)):
                done, total = map(int, found[-1])
                report(done / total if total else 0.0)

        _run(
            [
                *(["env", f"TMPDIR={folder}"] if os.name == "posix" else []),  # large files, small /tmp
                *command,
                *("download", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python"),
                *("--no-input", "--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "raw"),
                *("-d", str(folder), *options, f"{archive.package}=={archive.version}"),
            ],
            archive,
            log,
            look,
            stop,
        )
        return _only(folder, "*.whl", archive)

    return fetch


def npm_fetch(command: Sequence[str] = ("npm",)) -> Fetch:
    """A fetch through ``npm pack``, with a cache of its own that is thrown away."""

    def fetch(archive: Archive, folder: Path, report: Report, stop: threading.Event) -> Path:
        program = shutil.which(command[0])
        if program is None:
            raise SetupError(
                f"'{command[0]}' is not on the PATH, and {archive} comes from the npm registry",
                remedy="install Node.js 20 with npm (Debian: apt install npm), or pull from a --mirror folder",
            )
        cache = folder / "cache"

        def look() -> None:  # npm tells nothing: what lies in its cache is what has come
            report(1 - 1 / (1 + _size(cache) / 50e6))

        _run(
            [
                *(program, *command[1:], "pack", f"{archive.package}@{archive.version}", "--ignore-scripts"),
                *("--pack-destination", str(folder), "--cache", str(cache), "--no-update-notifier"),
                *("--loglevel", "error"),
            ],
            archive,
            folder / "npm.log",
            look,
            stop,
        )
        return _only(folder, "*.tgz", archive)

    return fetch


REGISTRIES: Mapping[Registry, Fetch] = {"pypi": pip_fetch(), "npm": npm_fetch()}


def _run(
    command: Sequence[str], archive: Archive, log: Path, look: Callable[[], None], stop: threading.Event
) -> None:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                if stop.wait(TICK):
                    raise Cancelled("stopped on request", where=str(archive))
                look()
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    if process.returncode:
        raise _failure(archive, _tail(log, 20000).decode("utf-8", "replace"))


def _failure(archive: Archive, said: str) -> BottegaError:
    tool = "pip" if archive.registry == "pypi" else "npm"
    if "No space left on device" in said or "ENOSPC" in said:
        return StorageFailed(
            f"the disk is full while fetching {archive}", remedy="free some space, or set BOTTEGA_HOME"
        )
    errors = [line for line in said.splitlines() if _SAID.match(line)]
    if _OFFLINE.search(said):
        message = f"no connection to the registry that {tool} uses"
        remedy = (
            f"check the network and `{tool} config list`, then pull again; or pull from a --mirror folder"
        )
    else:
        message = errors[-1] if errors else "no reason given"
        remedy = f"see that the registry of `{tool} config list` offers it, or pull from a --mirror folder"
    return TransferFailed(f"{tool} could not fetch it: {message}", where=str(archive), remedy=remedy)


def _only(folder: Path, pattern: str, archive: Archive) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise TransferFailed("the registry gave no archive", where=str(archive), remedy="pull again")
    return found[0]


def _tail(path: Path, size: int = 400) -> bytes:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - size))
        return stream.read()


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # npm moves files while we look
            continue
    return total
