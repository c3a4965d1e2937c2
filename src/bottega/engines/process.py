"""Engines in processes of their own: a crash, a hang or a full memory ends one part, not the run."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bottega.core.artifact import Artifact
from bottega.core.errors import Cancelled, EngineDied
from bottega.core.request import Output, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, failure
from bottega.engines.frames import Frame, error_fields, error_of, output_of
from bottega.engines.process_child import Child, Lane

GRACE = 1.0  # seconds between asking an engine to stop and killing its process
POLL = 0.1  # seconds between looks at the stop signal and at the memory, while nothing arrives

# Linux ends a child with the thread that started it, not with the process: this thread lives as long as we do.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bottega-starter")


class EngineProcess:
    """An engine that is used like any other, and runs elsewhere.

    The process starts with the first request, stays warm for the next, and is replaced when it ended. Any event loop
    may use it. It has as many lanes as it may serve requests at a time; one more gets a further process.
    """

    def __init__(self, engine: str, lanes: int = 1) -> None:
        """Nothing starts yet. ``engine`` is an id, or ``module:Class``."""
        self.engine = engine
        self._lanes = lanes
        self._idle: list[Lane] = []
        self._busy: set[Lane] = set()
        self._coming = 0  # requests that have a place and no lane yet

    @property
    def pids(self) -> list[int]:
        """The processes that are alive, those at work first."""
        return [*dict.fromkeys(lane.child.pid for lane in [*self._busy, *self._idle])]

    @property
    def at_work(self) -> bool:
        """Whether a request is being served, or about to be."""
        return bool(self._busy) or self._coming > 0

    @contextmanager
    def coming(self) -> Generator[None]:
        """It is at work from now on: whoever makes room for others must not end it."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def memory(self) -> int:
        """Bytes of resident memory of its processes now; 0 where the system does not tell (other than Linux)."""
        return sum(resident(pid) for pid in self.pids)

    async def generate(self, request: Request, bench: Bench) -> AsyncGenerator[Output]:
        """Yield the engine's outputs. Whoever leaves early, by cancelling or by reading no further, stops it too.

        Raises:
            BottegaError: as the engine raised it; anything else that it raises becomes `EngineFailed`.
            Cancelled: within two seconds after ``bench.cancelled`` is set, whatever the engine does.
            EngineDied: the process ended by itself.
        """
        bench.check_cancelled()
        lane = await self._take()
        turn = _Turn(lane, request, bench)
        try:
            while (output := await turn.next()) is not None:
                yield output
        finally:
            try:
                await turn.stop()
            finally:
                self._busy.discard(lane)
                if turn.over:
                    self._idle.append(lane)
                else:
                    lane.child.end()
                    lane.close()

    def close(self) -> None:
        """End every process and give its memory back; the next request starts one again."""
        for lane in self._busy.copy():
            lane.child.dismiss()
        while self._idle:
            lane = self._idle.pop()
            lane.child.end()
            lane.close()

    async def _take(self) -> Lane:
        while True:
            while self._idle:
                lane = self._idle.pop()
                if lane.waiting():
                    self._busy.add(lane)
                    return lane
                lane.child.end()
                lane.close()
            await asyncio.wrap_future(_STARTER.submit(self._start))

    def _start(self) -> None:
        """Start a process, idle at first: one whose request went away in the meantime serves the next.

        Several that come at once are seen to one after the other, and later ones find the lanes of the first.
        """
        if not self._idle:
            self._idle += Child(self.engine, self._lanes).lanes


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


class _Turn:
    """One request on one lane of a process."""

    def __init__(self, lane: Lane, request: Request, bench: Bench) -> None:
        self.over = False  # the process has ended the request and waits for another
        self._lane, self._child, self._request, self._bench = lane, lane.child, request, bench
        self._started, self._cpu = time.monotonic(), self._child.cpu
        self._counts: Counter[str] = Counter()
        self._usage: Usage | None = None
        self._answers: set[asyncio.Task[None]] = set()
        head = {"request": request.document(), "scratch": str(bench.scratch), "threads": bench.threads,
                "together": bench.together}  # fmt: skip
        lane.send(Frame({"kind": "request", **head}))

    async def next(self) -> Output | None:
        """The next output; None after the last."""
        try:
            while not self._bench.cancelled.is_set():
                frame = await self._lane.receive(POLL)
                output = self._take(frame) if frame else None
                if output is not None:
                    return output
                if frame and frame.kind == "error":
                    error = error_of(frame)
                    error.used = self._used()
                    raise error
                if self.over:
                    return None
        except ConnectionError:
            await asyncio.to_thread(self._child.end)
            if not self._child.dismissed:
                raise self._died() from None
        await self.stop()
        raise Cancelled("stopped on request", where=self._request.engine, used=self._used())

    async def stop(self) -> None:
        """Ask the engine to stop, wait for the grace, then kill its process."""
        if not self.over and not self._child.ended:
            deadline = time.monotonic() + GRACE
            self._lane.send(Frame({"kind": "stop"}))
            try:
                while not self.over and (left := deadline - time.monotonic()) > 0:
                    if frame := await self._lane.receive(min(left, POLL)):
                        self._take(frame)
            except ConnectionError:
                pass  # it is gone already
            if not self.over:
                await asyncio.to_thread(self._child.end)
        for answer in self._answers:
            answer.cancel()

    def _take(self, frame: Frame) -> Output | None:
        match frame.kind:
            case "ask":
                answer = asyncio.create_task(self._answer(frame))
                self._answers.add(answer)
                answer.add_done_callback(self._answers.discard)
            case "end" | "error":
                self.over = True
                self._child.cpu = frame.head["cpu"]
            case _:
                output = output_of(frame)
                self._counts[output.kind] += 1
                if isinstance(output, Usage):
                    self._usage = output
                return output
        return None

    async def _answer(self, frame: Frame) -> None:
        """Say where a file or model lies; in a thread, because it may have to be fetched first."""
        value = frame.head["value"]
        try:
            if frame.head["place"] == "weights":
                path = await asyncio.to_thread(self._bench.weights, value)
            else:
                path = await asyncio.to_thread(self._bench.locate, Artifact.model_validate(value))
            told: JsonObject = {"path": str(path)}
        except Exception as error:  # noqa: BLE001 - the child raises it
            told = error_fields(failure(error, self._request.engine))
        self._lane.send(Frame({"kind": "answer", **told}))

    def _died(self) -> EngineDied:
        ended = self._child.ended
        memory = ended == "SIGKILL"  # we did not send it
        return EngineDied(
            f"its process ended by itself: {ended}",
            where=self._request.engine,
            remedy="run it again; perhaps the memory was full: free some, or take a smaller model"
            if memory
            else "run it again; if it ends again, report it with what the process said",
            used=self._used(),
            ended=ended,
            stderr=self._child.said(),
        )

    def _used(self) -> JsonObject:
        """What the request has used so far; the memory is the process's, since it started."""
        return {
            "seconds": round(time.monotonic() - self._started, 3),
            "cpu_seconds": round(self._child.cpu - self._cpu, 3),
            "peak_bytes": self._child.peak(),
            "outputs": dict(self._counts),
            "usage": self._usage.document() if self._usage else None,
        }
