"""Files out of a Debian package: fetched with apt, held to a SHA-256, read as an archive; nothing is installed."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from bottega.core.errors import SetupError, Tampered, TransferFailed
from bottega.training.data.pinned import held_to


def fetch(package: str, version: str, sha256: str, folder: Path) -> Path:
    """The package's file in ``folder``; what is there already and fits is kept.

    Raises:
        SetupError: there is no apt-get, and nobody laid the file there.
        TransferFailed: apt could not fetch it.
        Tampered: other bytes than pinned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{package}_{version.replace(':', '%3a')}_all.deb"
    if not file.is_file():
        if shutil.which("apt-get") is None:
            raise SetupError(
                f"the data is the Debian package {package}, and there is no apt-get here",
                where=package,
                remedy=f"lay {file.name} from any Debian mirror into {folder}",
            )
        done = subprocess.run(
            ["apt-get", "download", f"{package}={version}"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not file.is_file():
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise TransferFailed(
                f"apt could not fetch {package} {version}: {said}",
                where=package,
                remedy=f"run apt-get update, or lay {file.name} into {folder}",
            )
    return held_to(sha256, file)


def members(file: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Files of the package by their path (``./usr/...``). A package is an ``ar`` archive that holds a tarball."""
    data = file.read_bytes()
    at = 8  # after "!<arch>\n"
    while at < len(data):
        name, size = data[at : at + 16].decode().strip(), int(data[at + 48 : at + 58])
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(data[at + 60 : at + 60 + size])) as tarball:
                found: dict[str, bytes] = {}
                for wanted in names:
                    member = tarball.extractfile(wanted)
                    assert member is not None
                    found[wanted] = member.read()
                return found
        at += 60 + size + size % 2
    raise Tampered("it holds no data", where=str(file), remedy="fetch again")
