"""`bottega`, killed at a named point: python killed_at.py POINT NUMBER WORDS...

The process kills itself at the NUMBERth time that it comes to the point. Nothing of this is in the product.
"""

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from bottega import cli
from bottega.delivery import folder
from bottega.pipelines import step
from bottega.service.operations import Bottega
from bottega.storage.objects import LocalObjects
from bottega.storage.runs import RunStore
from bottega.storage.sqlite import SQLite

# A step is leased by a claim, or, where one step follows the other, in the change that finishes the one before.
POINTS: dict[str, tuple[Any, str, bool]] = {  # where, what is called there, and whether it is killed after it
    "before a lease": (RunStore, "claim", False),
    "after a lease": (RunStore, "claim", True),
    "made, not kept": (step, "keep", False),
    "before a file is renamed": (LocalObjects, "_settle", False),
    "after a file is renamed": (LocalObjects, "_settle", True),
    "made, not finished": (RunStore, "finish", False),
    "finished": (RunStore, "finish", True),
    "before a commit": (SQLite, "_end", False),
    "after a commit": (SQLite, "_end", True),
    "before the delivery": (Bottega, "_deliver", False),
    "signed, not in place": (folder, "place", False),
    "in place, not written down": (folder, "place", True),
    "delivered, not closed": (RunStore, "close", False),
    "closed": (RunStore, "close", True),
}


def deadly(function: Callable[..., Any], number: int, *, after: bool) -> Callable[..., Any]:
    """The function, but its NUMBERth call kills this process, before or after it does what it does."""
    calls = count(1)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if function.__code__.co_flags & 0x80:  # a coroutine

        async def waits(*given: Any, **named: Any) -> Any:
            due = next(calls) == number
            if due and not after:
                die()
            found = await function(*given, **named)
            if due:
                die()
            return found

        return waits

    def acts(*given: Any, **named: Any) -> Any:
        due = next(calls) == number
        if due and not after:
            die()
        found = function(*given, **named)
        if due:
            die()
        return found

    return acts


if __name__ == "__main__":
    point, number, *words = sys.argv[1:]
    where, name, after = POINTS[point]
    setattr(where, name, deadly(getattr(where, name), int(number), after=after))
    sys.argv = ["bottega", *words]
    cli.main()
