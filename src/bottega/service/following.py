"""What happens to a run, entry by entry, for whoever listens."""

import asyncio
from collections.abc import AsyncGenerator

from bottega.core.entry import Entry
from bottega.core.run import RunState
from bottega.service.operations import Bottega

RESTING: tuple[RunState, ...] = ("released", "blocked", "failed", "cancelled", "awaiting_review")
"""States in which nothing more happens to a run by itself."""


async def follow(
    service: Bottega, run_id: str, *, after: int = -1, beat: float = 15.0
) -> AsyncGenerator[Entry | None]:
    """Entries of the record about a run as they come, from the one behind number ``after``; ends when the run rests.

    ``None`` comes when nothing has happened for ``beat`` seconds.

    Raises:
        NotFound: there is no such run.
    """
    journal, subject = service.state.journal, f"run/{run_id}"
    with service.state.database.wakes.listen() as bell:
        while True:
            bell.clear()
            run, _ = await asyncio.to_thread(service.shop.runs.get, run_id)
            for entry in await asyncio.to_thread(journal.about, subject):
                if entry.n > after:
                    after = entry.n
                    yield entry
            if run.state in RESTING:
                return
            if not await bell.wait(beat):
                yield None
