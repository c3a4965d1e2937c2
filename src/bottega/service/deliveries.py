"""Files of a delivered folder, as they are handed out one by one."""

from pathlib import Path

from bottega.core.errors import NotFound
from bottega.core.run import Run


def files_of(run: Run) -> dict[str, int]:
    """Paths in a run's delivered folder with their sizes in bytes; the folder appears whole or not at all."""
    folder = Path(run.out) if run.out else None
    if folder is None or not folder.is_dir():
        return {}
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}


def path_of(run: Run, path: str) -> Path:
    """Where one of them lies.

    Raises:
        NotFound: the run has delivered no such file.
    """
    if path not in files_of(run):
        raise NotFound("this run has delivered no such file", where="path", remedy="see which files it has")
    return Path(run.out) / path


def file_of(run: Run, path: str) -> bytes:
    """The bytes of one of them. Raises as `path_of` does."""
    return path_of(run, path).read_bytes()
