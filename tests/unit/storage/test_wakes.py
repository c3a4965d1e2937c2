"""Bells: rung across processes, none lost, dead listeners cleared away."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

from bottega.storage.wakes import Wakes

RING = "import sys; from pathlib import Path; from bottega.storage.wakes import Wakes; Wakes(Path(sys.argv[1])).ring()"

RING_ALWAYS = """
import sys
from pathlib import Path
from bottega.storage.wakes import Wakes
wakes = Wakes(Path(sys.argv[1]))
print("ringing", flush=True)
while True:
    wakes.ring()
"""


async def test_a_ring_from_another_process_arrives(tmp_path: Path) -> None:
    wakes = Wakes(tmp_path)
    with wakes.listen() as bell:
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", RING, str(tmp_path)], check=True)
        assert await bell.wait(20)
    wakes.close()


async def test_a_pipe_that_nobody_reads_is_removed_and_one_in_the_making_is_not(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1234-dead")
    os.mkfifo(tmp_path / "1234-made.new")
    (tmp_path / "note").write_text("no pipe at all")
    wakes = Wakes(tmp_path)
    with wakes.listen():
        wakes.ring()
        others = {path.name for path in tmp_path.iterdir() if not path.name.startswith(f"{os.getpid()}-")}
    assert others == {"1234-made.new", "note"}
    wakes.close()
    assert {path.name for path in tmp_path.iterdir()} == others


async def test_a_pipe_is_read_from_the_moment_it_is_seen(tmp_path: Path) -> None:
    """While another process rings all the time, nobody's new pipe is taken for that of a dead one."""
    ringing = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RING_ALWAYS, str(tmp_path), stdout=subprocess.PIPE
    )
    assert ringing.stdout is not None
    await ringing.stdout.readline()
    for _ in range(500):
        wakes = Wakes(tmp_path)
        with wakes.listen():
            assert len([path for path in tmp_path.iterdir() if path.suffix != ".new"]) == 1
        wakes.close()
    ringing.kill()
    await ringing.communicate()


async def test_no_ring_is_lost_between_clearing_and_waiting(tmp_path: Path) -> None:
    """Clear, look, wait: whatever is written and rung after the look ends the wait, from a thread or another pipe."""
    mine, theirs = Wakes(tmp_path), Wakes(tmp_path)
    written: list[int] = []

    def write(turn: int) -> None:
        written.append(turn)
        (mine if turn % 2 else theirs).ring()

    with mine.listen() as bell:
        for turn in range(200):
            writing = asyncio.get_running_loop().run_in_executor(None, write, turn)
            while True:
                bell.clear()
                if turn in written:
                    break
                assert await bell.wait(20)
            await writing
    mine.close()
    theirs.close()


async def test_a_full_pipe_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "1234-busy"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    wakes = Wakes(tmp_path)
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"!" * 4096)
    except BlockingIOError:
        pass
    wakes.ring()
    assert path.exists()
    os.close(reader)
    os.close(writer)


async def test_closing_while_others_ring_breaks_nothing(tmp_path: Path) -> None:
    wakes = Wakes(tmp_path)
    errors: list[BaseException] = []

    def ring() -> None:
        try:
            for _ in range(300):
                wakes.ring()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    thread = threading.Thread(target=ring)
    thread.start()
    while thread.is_alive():
        with wakes.listen():
            await asyncio.sleep(0)
        wakes.close()
    thread.join()
    assert errors == []


async def test_a_wait_ends_when_its_time_is_over(tmp_path: Path) -> None:
    with Wakes().listen() as bell:
        assert not await bell.wait(0.01)


async def test_who_waits_for_runs_is_not_woken_by_steps_here_or_elsewhere(tmp_path: Path) -> None:
    here, elsewhere = Wakes(tmp_path), Wakes(tmp_path)
    with here.listen() as steps, here.listen(steps=False) as runs:
        here.ring("steps")
        assert await steps.wait(20) and not await runs.wait(0.01)
        steps.clear()
        elsewhere.ring("steps")
        assert await steps.wait(20) and not await runs.wait(0.01)
        elsewhere.ring()
        assert await runs.wait(20)
    here.close()
    elsewhere.close()
