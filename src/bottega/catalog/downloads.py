"""Archives on their way: fetched side by side, kept until the model is whole, so that a pull can go on later."""

import re
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from bottega.catalog.archives import storage_error
from bottega.catalog.model import Archive, Registry
from bottega.catalog.registries import TICK, Fetch

AT_ONCE = 3


class Downloads:
    """The archives that one pull needs. Only a finished archive carries its name in ``folder``."""

    def __init__(
        self, folder: Path, registries: Mapping[Registry, Fetch], mirror: Path | None = None
    ) -> None:
        self.folder = folder
        self._registries = registries
        self._mirror = mirror
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pull")
        self._under_way: dict[Archive, Future[Path]] = {}
        self._fraction: dict[Archive, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def present(self, archive: Archive) -> Path | None:
        """The archive if it is here already: fetched earlier, or in the mirror folder."""
        kept = self.folder / archive.file_name
        if kept.is_file():
            return kept
        return _in_mirror(self._mirror, archive) if self._mirror else None

    def begin(self, archives: Iterable[Archive]) -> None:
        """Start to fetch what is not here, in this order."""
        for archive in archives:
            if self.present(archive) is None and archive not in self._under_way:
                self._under_way[archive] = self._pool.submit(self._fetch, archive)

    def path(self, archive: Archive, tick: Callable[[], None]) -> Path:
        """Wait for an archive, calling ``tick`` meanwhile.

        Raises:
            TransferFailed, SetupError, StorageFailed: as the fetch said.
        """
        if found := self.present(archive):
            return found
        self.begin([archive])
        future = self._under_way[archive]
        while not wait([future], timeout=TICK).done:
            tick()
        return future.result()

    def fraction(self, archive: Archive) -> float:
        """How much of an archive is here, 0 to 1."""
        return 1.0 if self.present(archive) else self._fraction.get(archive, 0.0)

    def discard(self, archives: Iterable[Archive]) -> None:
        """Delete archives of ours; the mirror's are left alone."""
        for archive in archives:
            (self.folder / archive.file_name).unlink(missing_ok=True)

    def _fetch(self, archive: Archive) -> Path:
        partial = self.folder / f".{archive.file_name}"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            found = self._registries[archive.registry](archive, partial, self._report(archive), self._stop)
            return found.replace(self.folder / archive.file_name)
        except OSError as error:
            raise storage_error(error, self.folder) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _report(self, archive: Archive) -> Callable[[float], None]:
        def report(fraction: float) -> None:
            self._fraction[archive] = min(max(fraction, self._fraction.get(archive, 0.0)), 1.0)

        return report


def _in_mirror(mirror: Path, archive: Archive) -> Path | None:
    """A wheel or tarball under the name that pip or npm gives it, or that we give it."""
    if archive.registry == "pypi":
        name = re.sub(r"[-_.]+", "_", archive.package).lower()
        patterns = (f"{name}-{archive.version}-*.whl", archive.file_name)
    else:
        patterns = (
            f"{archive.package.lstrip('@').replace('/', '-')}-{archive.version}.tgz",
            archive.file_name,
        )
    return next((path for pattern in patterns for path in sorted(mirror.glob(pattern))), None)
