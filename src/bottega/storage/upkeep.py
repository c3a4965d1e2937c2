"""Care of the artifact store: the integrity scan, and the collection of what nothing refers to."""

import hashlib
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bottega.core.errors import NotFound
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.disk import disk
from bottega.storage.objects import NAME, Stored

HOUR = 3600  # seconds

Problem = Literal["damaged", "misnamed", "missing", "foreign", "leftover"]


@dataclass(frozen=True)
class Finding:
    """One thing in the store that should not be as it is."""

    problem: Problem
    name: str
    size: int  # bytes
    detail: str


@dataclass(frozen=True)
class Collected:
    """What a collection removed, or would remove."""

    count: int
    bytes: int
    names: tuple[str, ...]


def scan(
    store: ArtifactStore, progress: Callable[[int, int], None] | None = None, *, leftover_after: float = HOUR
) -> Iterator[Finding]:
    """Hash every object again; yields what is wrong, and changes nothing.

    damaged: the bytes are not those of the name. misnamed: they are those of another object, whole. foreign: a file that the
    store did not make. leftover: in the making for longer than ``leftover_after`` seconds, so whoever made it is gone.
    Sealed objects are looked at for accidental damage; whether they are what was kept only `verify` with their key can tell.

    Args:
        store: the store, not a sealed view of it.
        progress: called after every object with the number of objects and bytes so far.
        leftover_after: seconds.
    """
    count = total = 0
    for each in store.list():
        if finding := _examine(store, each):
            yield finding
        count, total = count + 1, total + each.size
        if progress:
            progress(count, total)
    for path, size, age in _staged(store):
        if age > leftover_after:
            yield Finding("leftover", path.name, size, f"half-written {age / HOUR:.1f} hours ago")


def gc(
    store: ArtifactStore,
    referenced: Container[str],
    *,
    older_than_seconds: float = HOUR,
    dry_run: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> Collected:
    """Delete objects that nothing refers to, and leftovers, if they are older than a grace; foreign files stay.

    A put that finds its bytes there renews their age instead of writing them, and the age is looked at once more
    at the moment of deletion; on local disk the two exclude one another. So what is put within the grace before its
    reference is written survives. What remains: a reference written later than the grace after its put; a clock that jumps
    ahead by the grace; and in a bucket a put that ends in the round trip between look and deletion. There the
    grace must be well over half an hour, because a put trusts an object that young.

    Args:
        store: the store, not a sealed view of it.
        referenced: names as `ArtifactStore.stored_name` gives them, of everything that may be used again without
            being put again.
        older_than_seconds: the grace.
        dry_run: only tell what would go.
        stopped: asked before each object whether to leave the rest to the next time.
    """
    before = time.time() - older_than_seconds
    collected: dict[str, int] = {}
    for each in store.list():
        if stopped():
            break
        if not NAME.fullmatch(each.name) or each.name in referenced or each.modified >= before:
            continue
        if dry_run or store.objects.delete(each.name, older_than=before):
            collected[each.name] = each.size
    for path, size, age in _staged(store):
        if age > older_than_seconds:
            collected[f"{path.parent.name}/{path.name}"] = size
            if not dry_run:
                with disk(path.parent):
                    path.unlink(missing_ok=True)
    return Collected(len(collected), sum(collected.values()), tuple(collected))


def _examine(store: ArtifactStore, each: Stored) -> Finding | None:
    from bottega.storage.sealing import intact

    if not NAME.fullmatch(each.name):
        return Finding("foreign", each.name, each.size, "not made by the store")
    try:
        with store.bytes_of(each.name) as path, path.open("rb") as reader:
            found = hashlib.file_digest(reader, "sha256").hexdigest()
            if found == each.name or intact(reader):
                return None
    except (FileNotFoundError, NotFound):  # deleted meanwhile
        return None
    if store.holds(found):
        return Finding("misnamed", each.name, each.size, f"holds the bytes of {found}")
    return Finding("damaged", each.name, each.size, f"hashes to {found}")


def _staged(store: ArtifactStore) -> Iterator[tuple[Path, int, float]]:
    """Files in the making: path, bytes, age in seconds."""
    if not store.staging.is_dir():
        return
    with disk(store.staging):
        for path in sorted(store.staging.iterdir()):
            try:
                found = path.stat()
            except FileNotFoundError:  # finished meanwhile
                continue
            yield path, found.st_size, time.time() - found.st_mtime
