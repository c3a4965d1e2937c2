"""PDFium, one caller at a time: the library is not thread-safe, and checks, engines and delivery work in threads."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from bottega.engines.base import require

_LOCK = threading.RLock()


@contextmanager
def pdfium() -> Generator[Any]:
    """The `pypdfium2` module for the length of a ``with`` block; documents are opened and closed inside it.

    Raises:
        ExtraMissing: the package is not installed.
    """
    module: Any = require("pypdfium2", extra="all")
    with _LOCK:
        yield module
