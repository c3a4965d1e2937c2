"""Equal requests of one tenant that are in flight at the same time are made once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Sharing:
    """Who makes what now. Whoever comes later waits, and then finds the result where results are kept."""

    _made: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    @asynccontextmanager
    async def one_at_a_time(self, content: str) -> AsyncGenerator[bool]:
        """Have the turn to make this content; says whether another has made it, or failed to, in the meantime."""
        waited = False
        while (made := self._made.get(content)) is not None:
            waited = True
            await made.wait()
        made = self._made[content] = asyncio.Event()
        try:
            yield waited
        finally:
            del self._made[content]
            made.set()
