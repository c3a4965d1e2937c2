"""Questions over CSV and XLSX files."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bottega.core.errors import UnreadableSource
from bottega.pipelines.workshop import Workshop
from bottega.retrieval.convert import Limits, read_bytes
from bottega.retrieval.media import XLSX, media_type_of
from bottega.retrieval.tables.answer import TableAnswer
from bottega.retrieval.tables.ask import TableFile, ask_tables

TABLES = {
    XLSX: XLSX,
    "text/csv": "text/csv",
    "text/tab-separated-values": "text/csv",
}  # as the engine takes them


@dataclass(frozen=True)
class Tables:
    """Tables that are asked, file by file; nothing of them is indexed."""

    shop: Workshop

    async def ask(
        self, question: str, paths: Sequence[Path], *, seed: int = 0, cancelled: threading.Event | None = None
    ) -> TableAnswer:
        """Answer a question from CSV and XLSX files, as `ask_tables` says.

        Raises:
            UnreadableSource: a file is not there, or is neither CSV nor XLSX.
            InvalidValue, EngineFailed, SetupError: as `ask_tables`.
            Cancelled: ``cancelled`` was set.
        """
        tables = [await asyncio.to_thread(self._table, path) for path in paths]
        return await ask_tables(question, tables, partial(self.shop.ask, cancelled=cancelled), seed=seed)

    def _table(self, path: Path) -> TableFile:
        data = read_bytes(path, Limits())
        media_type = media_type_of(data, path.name)
        if media_type not in TABLES:
            raise UnreadableSource(
                f"this is {media_type}", where=str(path), remedy="give CSV or XLSX files to ask tables"
            )
        return TableFile(path.name, self.shop.artifacts.put(data, TABLES[media_type]), data)
