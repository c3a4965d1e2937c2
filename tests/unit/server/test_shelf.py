"""What is kept to be fetched again: its owner's, bounded in time and bytes, there after a restart, followed as it grows."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from bottega.core.errors import NotFound
from bottega.server.shelf import SECONDS, Kept, Shelf


def kept(name: str, size: int = 10, **more: str) -> Kept:
    body = {"id": f"resp_{name}", "text": "x" * size, "status": "in_progress" if more else "completed"}
    return Kept("key:a", body, [{"role": "user", "content": "y"}], **more)  # type: ignore[arg-type]


def at(folder: Path, **more: int) -> Shelf:
    return Shelf(folder, lambda worker: "" if worker == "here" else "its process has ended", **more)


def test_it_outlives_the_server_and_is_its_owners_alone(tmp_path: Path) -> None:
    at(tmp_path).keep(kept("one"))
    shelf = at(tmp_path)
    found = shelf.get("key:a", "resp_one")
    assert found.body["text"] == "x" * 10 and found.turns[0]["content"] == "y" and found.events is None
    for owner, name in (
        ("key:b", "resp_one"),
        ("key:a", "resp_two"),
        ("key:a", "../resp_one"),
        ("key:a", ""),
    ):
        with pytest.raises(NotFound):
            shelf.get(owner, name)
    shelf.drop("key:a", "resp_one")
    with pytest.raises(NotFound):
        shelf.get("key:a", "resp_one")


def test_the_old_and_the_oldest_of_too_many_go(tmp_path: Path) -> None:
    shelf = at(tmp_path, most=10_000)
    for number in range(5):
        shelf.keep(kept(f"r{number}", 3000))
        place = next(tmp_path.glob(f"*/resp_r{number}"))
        os.utime(place, (place.stat().st_atime, time.time() - 100 + number))
    shelf.sweep()
    assert {path.name for path in tmp_path.glob("*/resp_*")} == {"resp_r2", "resp_r3", "resp_r4"}
    os.utime(next(tmp_path.glob("*/resp_r4")), (0, time.time() - SECONDS - 1))
    with pytest.raises(NotFound):
        shelf.get("key:a", "resp_r4")


def test_one_whose_worker_is_gone_has_failed_and_says_so_to_who_follows(tmp_path: Path) -> None:
    shelf = at(tmp_path)
    made = kept("made", worker="gone")
    made.events = []
    shelf.keep(made)
    assert shelf.holds(made) and shelf.get("key:a", "resp_made") is made
    found = at(tmp_path).get("key:a", "resp_made")
    assert found.body["status"] == "failed" and found.events is not None
    assert json.loads(found.events[0].partition("data: ")[2])["type"] == "response.failed"
    shelf.keep(kept("other", worker="here"))
    assert at(tmp_path).get("key:a", "resp_other").body["status"] == "in_progress"


async def test_who_follows_hears_every_event_once_and_the_end() -> None:
    made, go = kept("made", worker="here"), asyncio.Event()
    made.events = []

    async def work() -> None:
        for number in range(5):
            await asyncio.sleep(0)
            made.say(b"%d" % number)
        await go.wait()
        made.say(b"5")

    made.work = asyncio.create_task(work())
    made.work.add_done_callback(lambda _: made.wake())

    async def heard(after: int) -> list[bytes]:
        return [each async for each in made.follow(after)]

    several = [asyncio.ensure_future(heard(after)) for after in (-1, 2, 99)]
    await asyncio.sleep(0.01)
    go.set()
    assert await asyncio.gather(*several) == [[b"0", b"1", b"2", b"3", b"4", b"5"], [b"3", b"4", b"5"], []]
    assert await heard(4) == [b"5"]


def test_where_no_prompt_is_kept_they_stay_in_memory_within_bounds(tmp_path: Path) -> None:
    shelf = Shelf(None, lambda worker: "", most=10_000)
    for number in range(5):
        shelf.keep(kept(f"r{number}", 3000))
    assert shelf.get("key:a", "resp_r4").body["text"] == "x" * 3000
    for owner, name in (("key:a", "resp_r1"), ("key:b", "resp_r4")):
        with pytest.raises(NotFound):
            shelf.get(owner, name)
    shelf.drop("key:a", "resp_r4")
    with pytest.raises(NotFound):
        shelf.get("key:a", "resp_r4")
    assert not [*tmp_path.iterdir()]
