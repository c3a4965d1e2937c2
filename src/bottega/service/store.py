"""Care of the state: scan, collection, backup."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bottega.core.artifact import Artifact
from bottega.core.entry import Act
from bottega.core.errors import InvalidValue, StorageFailed
from bottega.service.audit import Audit
from bottega.service.privacy import Privacy
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.database import Database
from bottega.storage.disk import disk, sync_file, sync_folder
from bottega.storage.objects import NAME, LocalObjects, Objects
from bottega.storage.small import SmallObjects
from bottega.storage.sqlite import SQLite
from bottega.storage.state import State
from bottega.storage.upkeep import HOUR, Collected, Finding, gc, scan

DATABASE = "bottega.sqlite"
KEYS = ("keys", "record-key", "subject-keys")
ARTIFACTS = "artifacts"


@dataclass(frozen=True)
class Backup:
    """A copy of the state that was read back and holds."""

    folder: Path
    entries: int
    files: int
    linked: int  # files that share their bytes with the state, because they lie on the same disk
    elsewhere: str  # where the artifacts lie that were not copied


class Store:
    """The operations behind `bottega store`."""

    def __init__(
        self, state: State, privacy: Privacy, artifacts: ArtifactStore, audit: Audit, folder: Path, actor: str
    ) -> None:  # fmt: skip
        self._state = state
        self._privacy = privacy
        self._artifacts = artifacts
        self._audit = audit
        self._folder = folder
        self._actor = actor

    def check(self, progress: Callable[[int, int], None] | None = None) -> list[Finding]:
        """Hash every file again, and look for each that something refers to; changes nothing."""
        found = [*scan(self._artifacts, progress)]
        for name, sha256 in self._referenced(self._state.database).items():
            if self._artifacts.objects.size(name) is None:
                found.append(Finding("missing", name, 0, f"a run or a plan refers to it as {sha256}"))
        return found

    def gc(
        self,
        *,
        dry_run: bool = True,
        older_than_seconds: float = HOUR,
        actor: str = "",
        stopped: Callable[[], bool] = lambda: False,
    ) -> Collected:
        """Delete the files that nothing refers to and that are older than a grace; ``stopped`` ends it on the way."""
        collected = gc(
            self._artifacts, self._referenced(self._state.database), older_than_seconds=older_than_seconds,
            dry_run=dry_run, stopped=stopped,
        )  # fmt: skip
        if collected.count and not dry_run:
            self._state.journal.write(
                Act.FILES_COLLECTED, "storage/artifacts", actor=actor or self._actor,
                detail={"files": collected.count, "bytes": collected.bytes},
            )  # fmt: skip
        return collected

    def backup(self, folder: Path) -> Backup:
        """Copy database, files and keys while others work, and read the copy back.

        Raises:
            InvalidValue: the folder is in use, or the database is PostgreSQL.
            StorageFailed: the copy cannot be written or does not hold.
            RecordAltered: the record in the copy does not hold.
        """
        _unused(folder)
        with disk(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._state.database.copy_to(folder / DATABASE)
            sync_file(folder / DATABASE)
            objects = self._large()
            files, linked = 0, 0
            if isinstance(objects, LocalObjects):  # after the database, so that all it refers to is there
                files, linked = _copy_files(objects.root, folder / ARTIFACTS)
            _copy_keys(self._folder, folder)
            sync_folder(folder)
        copy = SQLite(folder / DATABASE)
        try:
            entries = self._read_back(copy, folder)
        finally:
            copy.close()
        return Backup(
            folder, entries, files, linked, "" if isinstance(objects, LocalObjects) else objects.where
        )

    def restored(self, source: Path) -> None:
        """Write down that the state came from a backup."""
        journal = self._state.journal
        journal.write(
            Act.STATE_RESTORED, "state/restored", actor=self._actor, durable=True,
            detail={"entries": journal.size()}, why=f"from the backup {source.name}",
        )  # fmt: skip

    def _large(self) -> Objects:
        """Where the artifacts lie that are not rows of the database."""
        objects = self._artifacts.objects
        return objects.inner if isinstance(objects, SmallObjects) else objects

    def _read_back(self, copy: Database, folder: Path) -> int:
        said = copy.rows("PRAGMA integrity_check")[0][0]
        if said != "ok":
            raise StorageFailed(f"the copy of the database is damaged: {said}", where=str(folder))
        entries = self._audit.verify_copy(copy)
        if isinstance(self._large(), LocalObjects):
            copied = SmallObjects(copy, LocalObjects(folder / ARTIFACTS))
            missing = [name for name in self._referenced(copy) if copied.size(name) is None]
            if missing:
                raise StorageFailed(
                    f"{len(missing)} files that runs refer to are not in the store, the first is {missing[0]}",
                    where=str(folder),
                    remedy="`bottega store check` names them; the copy has all the rest",
                )
        return entries

    def _referenced(self, database: Database) -> dict[str, str]:
        """Of all that may be used again: the name in the store, and the hash."""
        wanted: set[tuple[str, str]] = {
            (sha256, holder) for sha256, holder in database.rows("SELECT DISTINCT sha256, holder FROM refs")
        }
        for source, document, holder in database.rows("SELECT source, document, holder FROM documents"):
            wanted |= {(source, holder), (Artifact.model_validate_json(document).sha256, holder)}
        stores = {holder: self._privacy.artifacts_of(holder) for _, holder in wanted if holder}
        return {stores.get(holder, self._artifacts).stored_name(sha256): sha256 for sha256, holder in wanted}


def restore(source: Path, state: Path) -> None:
    """Copy a backup into a state folder that is not in use.

    Raises:
        InvalidValue: the folder is in use, or the source is no backup.
        StorageFailed: it cannot be written.
    """
    if not (source / DATABASE).is_file():
        raise InvalidValue(
            "this is no backup", where=str(source), remedy="give the folder of `bottega store backup`"
        )
    _unused(state)
    with disk(state):
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (source / ARTIFACTS).is_dir():
            _copy_files(source / ARTIFACTS, state / ARTIFACTS)
        _copy_keys(source, state)
        shutil.copy2(source / DATABASE, state / DATABASE)
        sync_file(state / DATABASE)
        sync_folder(state)


def _unused(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InvalidValue(
            "the folder is in use, and nothing is written over",
            where=str(folder),
            remedy="give a new or empty folder",
        )


def _copy_files(source: Path, target: Path) -> tuple[int, int]:
    """Link every artifact, or copy it to another disk: how many there are, and how many were linked."""
    files = linked = 0
    objects = LocalObjects(source)
    for each in objects.list():
        path = objects.local(each.name) if NAME.fullmatch(each.name) else None
        if path is None:
            continue
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        files += 1
        try:
            os.link(path, place)
            linked += 1
        except FileNotFoundError:  # collected meanwhile: nothing refers to it
            files -= 1
        except OSError:
            shutil.copy2(path, place)
            sync_file(place)
    return files, linked


def _copy_keys(source: Path, target: Path) -> None:
    for name in KEYS:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
            (target / name).chmod(0o700)
