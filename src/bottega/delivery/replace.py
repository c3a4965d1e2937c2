"""Puts a finished folder in the place of an older one, so that a reader sees the old or the new."""

import ctypes
import errno
import glob
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, cast

from bottega.core.errors import InputError
from bottega.delivery.manifest import MANIFEST
from bottega.storage.leases import Turn

_JUNK = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # what file managers leave behind
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
ALONE = Turn()  # nobody else delivers there


def prepare(out: Path, turn: Turn = ALONE) -> Path:
    """An empty staging folder beside ``out``; what earlier deliveries left behind is cleared.

    Raises:
        InputError: ``out`` is a file or holds something that is no earlier delivery.
    """
    turn.check()
    home = out.resolve()
    staging, aside = _beside(home, f"part-{turn.number}"), _beside(home, "old")
    home.parent.mkdir(parents=True, exist_ok=True)
    if aside.exists() and not home.exists():
        aside.rename(home)  # killed between two renames on a system without exchange
    _refuse_foreign(home)
    discard(aside)
    discard(staging)
    for earlier in home.parent.glob(f"{glob.escape(_beside(home, 'part').name)}*"):
        number = earlier.name.rpartition("-")[2]
        if not number.isdecimal() or int(number) < turn.number:
            shutil.rmtree(
                earlier, ignore_errors=True
            )  # its writer may not know yet that it has lost the turn
    staging.mkdir()
    return staging


def within(staging: Path, path: str) -> Path:
    """A file's place in the staging folder. The folder itself is never made again: who lost the turn to it shall fail."""
    target = staging / path
    for parent in reversed(target.relative_to(staging).parents[:-1]):
        (staging / parent).mkdir(exist_ok=True)
    return target


def place(staging: Path, out: Path, turn: Turn = ALONE) -> Path:
    """Flush ``staging`` to disk, make it ``out``, remove what was there; gives the real path of ``out``."""
    home = out.resolve()
    _refuse_foreign(home)  # again: somebody may have put a file there meanwhile
    _flush(staging)
    turn.check()
    aside = _beside(home, "old")
    if not home.exists():
        staging.rename(home)
    elif _exchange(staging, home):
        staging.rename(aside)
    else:
        home.rename(aside)
        staging.rename(home)
    _flush_folder(home.parent)
    discard(aside)
    return home


def discard(folder: Path) -> None:
    """Remove a staging folder, if it is there."""
    if folder.is_dir():
        shutil.rmtree(folder)


def _beside(home: Path, suffix: str) -> Path:
    return home.with_name(f".{home.name}.bottega-{suffix}")


def _refuse_foreign(home: Path) -> None:
    """Only an empty place, or a folder holding exactly what its manifest lists, may be replaced."""
    remedy = "choose another --out, or move the folder away"
    if not home.exists():
        return
    if not home.is_dir():
        raise InputError("there is a file of this name", where=str(home), remedy=remedy)
    found = {path.relative_to(home).as_posix() for path in home.rglob("*")
             if not path.is_dir() and path.name not in _JUNK}  # fmt: skip
    foreign = sorted(found - _listed(home))
    if foreign:
        raise InputError(
            f"the folder holds {foreign[0]!r}, which no earlier delivery put there",
            where=str(home),
            remedy=remedy,
        )


def _listed(home: Path) -> set[str]:
    try:
        manifest: Any = json.loads((home / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return set()
    if not isinstance(manifest, dict):
        return set()
    facts = cast(dict[str, Any], manifest)
    if facts.get("format") != "bottega.delivery/1":
        return set()
    return {MANIFEST} | {str(file["path"]) for key in ("artifacts", "support") for file in facts.get(key, [])}


def _exchange(left: Path, right: Path) -> bool:
    """Swap two folders in one step where the system can (Linux renameat2); False where it cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename: Any = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(left), _AT_FDCWD, os.fsencode(right), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number), str(right))


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            _flush_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
