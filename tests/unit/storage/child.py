"""A process that works on a state: registers, does what it is told, and says so. Started by tests."""

import asyncio
import sys
from pathlib import Path

from tests.unit.storage.conftest import finish, lease

from bottega.bootstrap import now
from bottega.core.errors import LeaseLost
from bottega.storage.state import State, open_state

BEAT = 0.3  # seconds


async def work(state: State, task: str) -> None:
    say(state.workers.register())
    if task == "hear":
        with state.runs.wakes.listen() as bell:
            say("listening")
            say("rung" if await bell.wait(20) else "not rung")
        return
    held = await lease(state, state.runs.get("run")[0], "a", "red")
    say("leased")
    await asyncio.to_thread(sys.stdin.readline)  # killed or stopped here
    try:
        await finish(state, held)
        say("written")
    except LeaseLost:
        say("refused")


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    opened = open_state(Path(sys.argv[1]), now, beat=BEAT)
    asyncio.run(work(opened, sys.argv[2]))
    opened.close()
