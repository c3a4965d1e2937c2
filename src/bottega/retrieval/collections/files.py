"""Which files a call of `index` means, and what they are called."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bottega.core.errors import UnreadableSource


@dataclass(frozen=True)
class Found:
    """One file: where it lies and what people call it, for example ``handbook/leave.md``."""

    path: Path
    name: str


def roots(paths: Sequence[Path]) -> list[Path]:
    """The paths, absolute and without links, each there.

    Raises:
        UnreadableSource: one is missing or may not be read; nothing has been done then.
    """
    found: list[Path] = []
    for path in paths:
        where = str(path)
        try:
            path.stat()
            if path.is_dir():
                os.scandir(path).close()
        except FileNotFoundError as error:
            raise UnreadableSource("there is no such file", remedy="check the path", where=where) from error
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", "") or str(error)
            raise UnreadableSource(
                f"it cannot be read: {reason}", remedy="check the path and its permissions", where=where
            ) from error
        found.append(path.resolve())
    return found


def walk(roots: Sequence[Path]) -> Iterator[Found]:
    """Every file under the roots, in the order of their names; each once, however it was reached.

    Hidden files, hidden folders, lock files of office programs and linked folders are passed over, and so are links
    that lead out of their root. What cannot be read for other reasons is given, so that it can be reported.
    """
    seen: set[Path] = set()
    for root in roots:
        if not root.is_dir():
            if root not in seen:
                seen.add(root)
                yield Found(root, root.name)
            continue
        real = root.resolve()
        for base, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = Path(base) / name
                if name.startswith((".", "~$")) or path in seen:
                    continue
                if path.is_symlink() and not path.resolve().is_relative_to(real):
                    continue
                seen.add(path)
                yield Found(path, path.relative_to(root.parent).as_posix())


def under(place: str, roots: Sequence[Path]) -> bool:
    """Whether a document's place lies under one of the roots, or is one."""
    path = Path(place.partition(MEMBER)[0])
    return any(path == root or path.is_relative_to(root) for root in roots)


MEMBER = "!/"  # between an archive and what stands in it
