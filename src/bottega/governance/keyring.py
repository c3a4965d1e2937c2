"""One secret key per data subject: to destroy it is to erase all that was sealed under it."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from bottega.core.errors import InvalidValue, NotFound, PolicyDenied, StorageFailed
from bottega.storage.disk import appearing, disk, locked, sync_file, sync_folder

SIZE = 32  # bytes: 256 bits
LIVING = ".key"
ERASED = ".erased"
MASTER = "master"


class KeyRing:
    """Keys in files of their own (mode 0600), named by pseudonym: the folder tells nobody's name.

    The master key makes the pseudonyms; without it no key is found again, so it is never made anew while keys lie there.

    Not covered: copies of the folder. A key comes back with a backup, so keep this folder's backups apart and for a
    short time; and a disk may keep old blocks after they are written over, so put the folder on an encrypted one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pseudonym(self, subject: str) -> str:
        """What logs and records may show instead of the subject: 32 hexadecimal digits, the same on every call.

        HMAC-SHA256 under this machine's master key, cut to 128 bits.

        Raises:
            StorageFailed: the master key is lost or damaged.
        """
        if not subject:
            raise InvalidValue(
                "a data subject needs a name", remedy="give any stable identifier of the person"
            )
        return hmac.new(self._master(), subject.encode(), hashlib.sha256).hexdigest()[:32]

    def key(self, subject: str, *, create: bool = False) -> bytes:
        """The subject's key, 32 bytes; however many processes create it at once, they get one key.

        Raises:
            PolicyDenied: the subject was erased; no key is ever made for it again.
            NotFound: there is no key, and ``create`` is not set.
            StorageFailed: the key is damaged, or the folder cannot be used.
        """
        return self.key_of(self.pseudonym(subject), create=create)

    def key_of(self, pseudonym: str, *, create: bool = False) -> bytes:
        """As `key`, for who knows the pseudonym alone."""
        path = self._folder / f"{pseudonym}{LIVING}"
        found = self._read(path)
        if found is None and create:
            with disk(self._folder), locked(self._folder / "lock"):
                found = self._read(path)
                if found is None and not self._erased(pseudonym):
                    found = secrets.token_bytes(SIZE)
                    self._write(path, found)
        # The erasure is looked at last: it is written before the key is touched, so no half-erased key gets out.
        if self._erased(pseudonym):
            raise PolicyDenied(
                f"the data of subject {pseudonym} was erased and its key destroyed",
                where=str(self._folder),
                remedy="use another identifier if the person has come back with a new consent",
            )
        if found is None:
            raise NotFound(
                f"there is no key for subject {pseudonym}",
                where=str(self._folder),
                remedy="check the identifier, or restore the folder from a backup",
            )
        if len(found) != SIZE:
            raise self._damaged(path)
        return found

    def destroy(self, subject: str) -> bool:
        """Destroy the subject's key for good, and refuse to make one again; call it as often as you like.

        Returns whether there was a key until now.
        """
        pseudonym = self.pseudonym(subject)
        path = self._folder / f"{pseudonym}{LIVING}"
        with disk(self._folder), locked(self._folder / "lock"):
            if not self._erased(pseudonym):
                self._write(self._folder / f"{pseudonym}{ERASED}", b"")
            if not path.exists():
                return False
            with path.open("r+b") as file:
                file.write(secrets.token_bytes(SIZE))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            sync_folder(self._folder)
            return True

    def subjects(self) -> tuple[str, ...]:
        """Pseudonyms of those who have a key."""
        with disk(self._folder):
            names = sorted(path.stem for path in self._folder.glob(f"*{LIVING}") if path.stem != MASTER)
        return tuple(name for name in names if not self._erased(name))

    def _erased(self, pseudonym: str) -> bool:
        return (self._folder / f"{pseudonym}{ERASED}").exists()

    def _master(self) -> bytes:
        path = self._folder / f"{MASTER}{LIVING}"
        found = self._read(path)
        if found is None:
            with disk(self._folder):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with locked(self._folder / "lock"):
                    found = self._read(path)
                    if found is None:
                        if any(each.suffix in (LIVING, ERASED) for each in self._folder.iterdir()):
                            raise StorageFailed(
                                "the master key is missing, so no subject can be found",
                                where=str(path),
                                remedy="restore it from a backup",
                            )
                        found = secrets.token_bytes(SIZE)
                        self._write(path, found)
                        sync_folder(self._folder.parent)
        if len(found) != SIZE:
            raise self._damaged(path)
        return found

    def _read(self, path: Path) -> bytes | None:
        with disk(self._folder):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def _write(self, path: Path, data: bytes) -> None:
        with appearing(path) as made:  # mode 0600
            made.write_bytes(data)
            sync_file(made)
        sync_folder(self._folder)

    def _damaged(self, path: Path) -> StorageFailed:
        return StorageFailed(
            "a key has not the length of one", where=str(path), remedy="restore it from a backup"
        )
