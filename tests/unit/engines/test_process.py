"""Engines in processes of their own: the same outputs, and an end in every case."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bottega.core.artifact import Artifact
from bottega.core.errors import Cancelled, EngineBusy, EngineDied, EngineFailed, NotFound, WeightsMissing
from bottega.core.request import Delta, Finished, Output, Part, Request
from bottega.engines.base import Bench
from bottega.engines.echo import Echo
from bottega.engines.process import GRACE, POLL, EngineProcess

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture
def unruly(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProcess]:
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS), prepend=os.pathsep)
    process = EngineProcess("unruly:Unruly")
    yield process
    process.close()


@pytest.fixture
def echo() -> Iterator[EngineProcess]:
    process = EngineProcess("echo")
    yield process
    process.close()


def asked(act: str, **more: object) -> Request:
    return Request.model_validate({"engine": "unruly", "params": {"act": act}, **more})


async def run(process: EngineProcess | Echo, request: Request, bench: Bench) -> list[Output]:
    return [output async for output in process.generate(request, bench)]


async def pid_of(process: EngineProcess, bench: Bench) -> int:
    last = (await run(process, asked("pid"), bench))[-1]
    assert isinstance(last, Finished) and last.data is not None
    return int(last.data)


def alive(pid: int) -> bool:
    """Whether the process exists and is not merely waiting to be counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int) -> bool:
    """Wait until the process is gone, and say whether it is."""
    for _ in range(1000):
        if not alive(pid):
            return True
        time.sleep(0.01)
    return False


async def test_outputs_are_the_same_in_and_out_of_process(echo: EngineProcess, bench: Bench) -> None:
    request = Request(
        engine="echo",
        parts=(Part(port="text", text="three little words"),),
        params={"text": "näive", "media_type": "text/markdown"},
        feedback="again",
    )
    assert await run(echo, request, bench) == await run(Echo(), request, bench)


async def test_every_kind_of_output_crosses_with_its_bytes(unruly: EngineProcess, bench: Bench) -> None:
    came = (await run(unruly, asked("everything"), bench))[2:-1]
    delta, progress, preview, audio, empty, file = came
    assert delta == Delta(text="é\n", logprobs=(("é", -0.25),))
    assert progress.model_dump() == {"fraction": 0.5, "note": "half", "kind": "progress"}
    assert preview.model_dump() == {"data": b"\x89PNG\x00\xff", "media_type": "image/png", "kind": "preview"}
    assert audio.model_dump() == {"pcm": bytes(range(256)) * 2000, "sample_rate": 24000, "kind": "audio"}
    assert isinstance(empty, Finished) and empty.data == b"" and empty.details == {"rows": [1, 2.5, None]}
    assert isinstance(file, Finished) and file.data is None and file.path == bench.scratch / "made.txt"


async def test_a_large_request_crosses(echo: EngineProcess, bench: Bench) -> None:
    text = "x" * 5_000_000
    assert (await run(echo, Request(engine="echo", params={"text": text}), bench))[0] == Delta(text=text)


async def test_the_bench_answers_from_the_parent_and_keeps_its_secrets(
    unruly: EngineProcess, bench: Bench, store_file: Callable[[str, str], Artifact]
) -> None:
    def weights(model: str) -> Path:
        if model == "missing":
            raise WeightsMissing("not here", remedy="bottega pull missing")
        return Path("/models") / model

    def secret(name: str) -> str:
        return "secret"

    part = Part(port="text", artifact=store_file("stored", "text/plain"))
    place = replace(bench, weights=weights, threads=7, secret=secret)
    last = (await run(unruly, asked("bench", parts=(part,), model="model"), place))[-1]
    assert isinstance(last, Finished) and last.data == b"stored|/models/model|7|"
    with pytest.raises(WeightsMissing, match=r"not here \(bottega pull missing\)"):
        await run(unruly, asked("bench", parts=(part,), model="missing"), place)


async def test_one_warm_process_serves_request_after_request(unruly: EngineProcess, bench: Bench) -> None:
    first = await pid_of(unruly, bench)
    assert first != os.getpid()
    assert await pid_of(unruly, bench) == first
    unruly.close()
    assert gone(first)
    assert await pid_of(unruly, bench) != first


def test_event_loops_may_come_and_go(unruly: EngineProcess, bench: Bench) -> None:
    assert len({asyncio.run(pid_of(unruly, bench)) for _ in range(3)}) == 1


def test_the_process_outlives_the_thread_that_asked_first(unruly: EngineProcess, bench: Bench) -> None:
    found: list[int] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: found.append(asyncio.run(pid_of(unruly, bench))))
        thread.start()
        thread.join()
    assert found[0] == found[1]


async def test_requests_at_the_same_time_get_a_process_each(unruly: EngineProcess, bench: Bench) -> None:
    pids = await asyncio.gather(*(pid_of(unruly, bench) for _ in range(2)))
    assert len(set(pids)) == len(unruly.pids) == 2


async def test_errors_come_out_as_they_were_raised(unruly: EngineProcess, bench: Bench) -> None:
    with pytest.raises(EngineBusy) as busy:
        await run(unruly, asked("busy"), bench)
    said = vars(busy.value)
    assert said.pop("used")["outputs"] == {"delta": 1, "usage": 1}
    assert said == {"message": "later", "remedy": "wait", "where": "host", "retry_after": 2.5}
    with pytest.raises(WeightsMissing, match=r"unruly: no model \(fetch it\)"):
        await run(unruly, asked("own_error"), bench)
    with pytest.raises(EngineFailed, match=r"unruly: ZeroDivisionError: no \(this is a bug") as bug:
        await run(unruly, asked("bug"), bench)
    assert "unruly.py" in bug.value.__notes__[0]
    with pytest.raises(EngineFailed, match="SystemExit: 3"):
        await run(unruly, asked("leave"), bench)
    assert len(unruly.pids) == 1  # all by the same process


async def test_an_unknown_engine_is_named(bench: Bench) -> None:
    process = EngineProcess("no_such_engine")
    try:
        with pytest.raises(NotFound, match="no_such_engine"):
            await run(process, Request(engine="no_such_engine"), bench)
    finally:
        process.close()


async def begun(outputs: AsyncIterator[Output], number: int = 2) -> list[Output]:
    """The first outputs: the engine is at work."""
    return [await anext(outputs) for _ in range(number)]


async def test_an_engine_that_stops_when_asked_keeps_its_process(unruly: EngineProcess, bench: Bench) -> None:
    outputs = unruly.generate(asked("await_stop"), bench)
    await begun(outputs)
    bench.cancelled.set()
    with pytest.raises(Cancelled) as stopped:
        await anext(outputs)
    (pid,) = unruly.pids
    assert await pid_of(unruly, replace(bench, cancelled=threading.Event())) == pid
    used = stopped.value.used
    assert used["outputs"] == {"delta": 1, "usage": 1}
    assert used["usage"]["output_units"] == 3
    assert used["seconds"] > 0 and used["cpu_seconds"] > 0 and used["peak_bytes"] > 1 << 20


@pytest.mark.parametrize("act", ["hold", "hoard"])
async def test_an_engine_that_does_not_stop_is_killed_and_its_memory_is_free(
    act: str, unruly: EngineProcess, bench: Bench
) -> None:
    assert GRACE + POLL < 2  # seconds, the promise
    outputs = unruly.generate(asked(act), bench)
    await begun(outputs)
    (pid,) = unruly.pids
    threading.Timer(0.3, bench.cancelled.set).start()
    async with asyncio.timeout(60):  # the engine sleeps ten minutes
        with pytest.raises(Cancelled) as stopped:
            await anext(outputs)
    assert not alive(pid) and unruly.pids == []
    assert stopped.value.used["usage"]["output_units"] == 3
    assert (stopped.value.used["peak_bytes"] > 200 << 20) == (act == "hoard")
    assert await pid_of(unruly, replace(bench, cancelled=threading.Event())) != pid


async def test_a_cancelled_task_takes_the_engine_with_it(unruly: EngineProcess, bench: Bench) -> None:
    outputs = unruly.generate(asked("hold"), bench)
    await begun(outputs)
    (pid,) = unruly.pids
    waiting = asyncio.create_task(anext(outputs))
    await asyncio.sleep(0)
    waiting.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert not alive(pid) and unruly.pids == []


async def test_whoever_reads_no_further_stops_the_engine(unruly: EngineProcess, bench: Bench) -> None:
    outputs = unruly.generate(asked("await_stop"), bench)
    await begun(outputs)
    (pid,) = unruly.pids
    await outputs.aclose()
    assert await pid_of(unruly, bench) == pid  # it stopped when asked, and is warm


async def test_a_program_that_the_engine_called_ends_with_it(unruly: EngineProcess, bench: Bench) -> None:
    outputs = unruly.generate(asked("program"), bench)
    *_, last = await begun(outputs, 3)
    assert isinstance(last, Delta) and alive(int(last.text))
    bench.cancelled.set()
    with pytest.raises(Cancelled):
        await anext(outputs)
    assert gone(int(last.text))


@pytest.mark.parametrize(
    ("die", "ended"),
    [(0, "exit code 0"), (7, "exit code 7"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-6, "SIGABRT")],
)
async def test_a_death_is_told_with_its_evidence(
    die: int, ended: str, echo: EngineProcess, bench: Bench
) -> None:
    with pytest.raises(EngineDied) as died:
        await run(echo, Request(engine="echo", params={"die": die}), bench)
    error = died.value
    assert (error.ended, error.where, error.retryable) == (ended, "echo", True)
    assert ended in error.message and error.remedy
    assert error.used["cpu_seconds"] > 0 and error.used["outputs"] == {}
    assert ("echo.py" in error.stderr) == (die in {-11, -6})  # where it crashed
    assert (await run(echo, Request(engine="echo", params={"text": "well"}), bench))[0] == Delta(text="well")


async def test_three_deaths_in_a_row_are_three_clear_errors(echo: EngineProcess, bench: Bench) -> None:
    for code in (1, 2, 3):
        with pytest.raises(EngineDied, match=f"exit code {code}"):
            await run(echo, Request(engine="echo", params={"die": code}), bench)
        assert echo.pids == []


async def test_what_it_printed_last_is_kept_and_what_it_prints_disturbs_nobody(
    unruly: EngineProcess, bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngineDied, match="exit code 4") as died:
        await run(unruly, asked("print"), bench)
    assert died.value.stderr.endswith("last words: é\n")
    assert len(died.value.stderr.encode()) == 2048
    assert capfd.readouterr() == ("", "")


async def test_killed_from_outside_at_work_and_at_rest(unruly: EngineProcess, bench: Bench) -> None:
    outputs = unruly.generate(asked("hold"), bench)
    await begun(outputs)
    os.kill(unruly.pids[0], signal.SIGKILL)
    with pytest.raises(EngineDied, match="SIGKILL"):
        await anext(outputs)
    pid = await pid_of(unruly, bench)
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # all of its threads are gone
    assert await pid_of(unruly, bench) != pid


async def test_closing_in_mid_work_ends_the_request(unruly: EngineProcess, bench: Bench) -> None:
    outputs = unruly.generate(asked("hold"), bench)
    await begun(outputs)
    unruly.close()
    with pytest.raises(Cancelled):
        await anext(outputs)
    assert unruly.pids == []


PARENT = """
import asyncio, pathlib, sys, tempfile
from bottega.core.request import Request
from bottega.engines.base import Bench
from bottega.engines.process import EngineProcess

async def main():
    process = EngineProcess("unruly:Unruly")
    scratch = pathlib.Path(sys.argv[1])
    bench = Bench(scratch=scratch, locate=lambda artifact: scratch, weights=lambda model: scratch)
    outputs = process.generate(Request(engine="unruly", params={"act": "hold"}), bench)
    for _ in range(2):
        await anext(outputs)
    print(process.pids[0], flush=True)
    await anext(outputs)

asyncio.run(main())
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the end of the channel is seen, but not while it holds"
)
@pytest.mark.usefixtures("unruly")
def test_a_killed_parent_takes_its_engines_along(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    assert gone(pid)


async def test_requests_that_come_at_once_share_one_process_where_it_has_lanes(bench: Bench) -> None:
    process = EngineProcess("echo", lanes=3)
    request = Request(engine="echo", params={"text": "a b c d", "delay": 0.05})
    try:
        made = await asyncio.gather(*(run(process, request, bench) for _ in range(3)))
        assert len(process.pids) == 1 and not process.at_work
        assert all(outputs == made[0] and isinstance(outputs[-1], Finished) for outputs in made)
        stopped = replace(bench, cancelled=threading.Event())
        others = asyncio.gather(*(run(process, request, bench) for _ in range(2)))
        stopped.cancelled.set()
        with pytest.raises(Cancelled):
            await run(process, request, stopped)
        assert [outputs[-1] for outputs in await others] == [made[0][-1]] * 2, "a stop is of one lane"
    finally:
        process.close()
