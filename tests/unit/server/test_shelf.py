"""What is kept to be fetched again is bounded in bytes."""

import asyncio

import pytest

from bottega.core.errors import NotFound
from bottega.server.shelf import Kept, Shelf


def kept(name: str, size: int) -> Kept:
    return Kept("key:a", {"id": name, "text": "x" * size}, [{"role": "user", "content": "y" * size}])


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    shelf = Shelf(most=10_000)
    for number in range(5):
        shelf.keep(kept(f"r{number}", 1500))
    assert shelf.get("key:a", "r4").body["id"] == "r4" and shelf.get("key:a", "r2")
    with pytest.raises(NotFound):
        shelf.get("key:a", "r1")
    shelf.drop("r3")
    shelf.keep(kept("r5", 1500))
    assert shelf.get("key:a", "r2")  # there was room again


def test_one_that_is_too_large_is_not_kept_and_pushes_nothing_out() -> None:
    shelf = Shelf(most=10_000)
    shelf.keep(kept("small", 10))
    shelf.keep(kept("large", 9000))
    assert shelf.get("key:a", "small")
    with pytest.raises(NotFound):
        shelf.get("key:a", "large")


async def test_one_that_is_being_made_stays() -> None:
    shelf, done = Shelf(most=5000), asyncio.Event()
    made = kept("made", 1000)

    async def work() -> None:
        await done.wait()

    made.work = asyncio.create_task(work())
    shelf.keep(made)
    for number in range(4):
        shelf.keep(kept(f"r{number}", 1000))
    assert shelf.get("key:a", "made")
    done.set()
    await made.work
    shelf.keep(kept("last", 1500))
    with pytest.raises(NotFound):
        shelf.get("key:a", "made")
