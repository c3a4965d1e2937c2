"""From the files and folders that a person names to the sources of a brief."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bottega.core.errors import UnreadableSource
from bottega.retrieval.convert.reading import Limits
from bottega.retrieval.media import BY_SUFFIX, FORMATS_TEXT

MOST_FILES = 2_000
MOST_SEEN = 100_000  # directory entries looked at in one folder


def expand(paths: Sequence[Path]) -> list[Path]:
    """All source files, sorted by path; the same bytes under two names count once, under the first.

    In a folder, hidden files, files of other formats, linked folders, and links that lead out of the folder are
    passed over. A file that is named itself is always kept, so that reading it can say what is wrong.

    Raises:
        UnreadableSource: for a missing path, one that may not be read, or a folder with nothing usable in it.
    """
    found: set[Path] = set()
    for path in paths:
        if _is_folder(path):
            inside = list(_walk(path))
            if not inside:
                raise UnreadableSource(
                    "nothing in this folder can be used", remedy=f"give {FORMATS_TEXT}", where=str(path)
                )
            found.update(inside)
        else:
            found.add(path)
        if len(found) > MOST_FILES:
            raise UnreadableSource(
                f"more than {MOST_FILES:,} files", remedy="name the files that matter", where=str(path)
            )
    return _once(sorted(found))


def names(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for every source: its file name, with as many parent folders as it takes to be unique."""
    parts = {path: path.absolute().parts for path in paths}
    depth = dict.fromkeys(paths, 1)
    while True:
        named = {path: "/".join(parts[path][-depth[path] :]).lstrip("/") for path in paths}
        counts = Counter(named.values())
        clashing = [path for path in depth if counts[named[path]] > 1 and depth[path] < len(parts[path])]
        if not clashing:
            return named
        for path in clashing:
            depth[path] += 1


def _is_folder(path: Path) -> bool:
    try:
        path.stat()
        if path.is_dir():
            os.scandir(path).close()
            return True
        return False
    except FileNotFoundError as error:
        raise UnreadableSource("there is no such file", remedy="check the path", where=str(path)) from error
    except PermissionError as error:
        raise UnreadableSource(
            "this may not be read", remedy="give yourself read permission on it", where=str(path)
        ) from error
    except (OSError, RuntimeError) as error:
        raise UnreadableSource(
            "the path cannot be followed (a loop of links?)", remedy="check the path", where=str(path)
        ) from error


def _walk(folder: Path) -> Iterator[Path]:
    root = folder.resolve()
    seen = 0
    for base, folders, files in os.walk(folder):  # does not follow linked folders, so it ends
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        seen += len(files) + len(folders)
        if seen > MOST_SEEN:
            raise UnreadableSource(
                f"more than {MOST_SEEN:,} entries in this folder",
                remedy="name the files that matter",
                where=str(folder),
            )
        for name in sorted(files):
            path = Path(base) / name
            usable = not name.startswith((".", "~$")) and path.suffix.lower() in BY_SUFFIX
            if usable and path.is_file() and path.resolve().is_relative_to(root):
                yield path


def _once(paths: Sequence[Path]) -> list[Path]:
    """Without files whose bytes came before; only regular files of equal size are read, none above the limit."""
    limit = Limits().file_bytes
    sizes = {path: path.stat().st_size for path in paths if path.is_file()}
    sizes = {path: size for path, size in sizes.items() if size <= limit}
    shared = {size for size, count in Counter(sizes.values()).items() if count > 1}
    seen: set[str] = set()
    kept: list[Path] = []
    for path in paths:
        if sizes.get(path) in shared:
            digest = _digest(path)
            if digest in seen:
                continue
            seen.add(digest)
        kept.append(path)
    return kept


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return str(path)  # reading it will say what is wrong
