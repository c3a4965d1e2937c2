"""The child's side of an engine's process: one engine, on each lane one request after the other, until the parent is gone.

python -m bottega.engines.process_main ENGINE DESCRIPTOR...

ENGINE is an id, or ``module:Class``; each DESCRIPTOR the number of a socket that the parent left open: a lane. Standard
output and error stay free for what libraries print.
"""

import asyncio
import ctypes
import faulthandler
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from bottega import plugins
from bottega.core.artifact import Artifact
from bottega.core.errors import BottegaError
from bottega.core.request import Request
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Engine, failure
from bottega.engines.frames import Frame, Inbox, error_fields, error_of, output_frame

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Parent:
    """The channel. A thread of its own reads it, so that a stop and the end are seen while the engine works."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)  # else programs that the engine calls would keep it open
        self._sending, self._asking = threading.Lock(), threading.Lock()
        self._answers: SimpleQueue[Frame] = SimpleQueue()
        self.requests: SimpleQueue[tuple[JsonObject, threading.Event]] = SimpleQueue()

    def listen(self) -> None:
        """Hand out what arrives; end this process at once when nobody is at the other end."""
        inbox, stop = Inbox(), threading.Event()
        try:
            while data := self._socket.recv(1 << 16):
                inbox.feed(data)
                while frame := inbox.next():
                    match frame.kind:
                        case "stop":
                            stop.set()
                        case "answer":
                            self._answers.put(frame)
                        case _:
                            stop = threading.Event()
                            self.requests.put((frame.head, stop))
        finally:
            os._exit(0)

    def send(self, frame: Frame) -> None:
        """Send a frame; waits while the parent does not read."""
        with self._sending:
            self._socket.sendall(frame.packed())

    def ask(self, place: str, value: Any) -> Path:
        """Where a file or a model lies; only the parent knows.

        Raises:
            BottegaError: as the parent's bench raised it.
        """
        with self._asking:
            self.send(Frame({"kind": "ask", "place": place, "value": value}))
            answer = self._answers.get()
        if "error" in answer.head:
            raise error_of(answer)
        return Path(answer.head["path"])

    def bench(self, head: JsonObject, stop: threading.Event) -> Bench:
        """The bench of one request. It has no secrets."""

        def locate(artifact: Artifact) -> Path:
            return self.ask("locate", artifact.document())

        return Bench(
            scratch=Path(head["scratch"]),
            locate=locate,
            weights=lambda model: self.ask("weights", model),
            threads=head["threads"],
            together=head["together"],
            cancelled=stop,
        )


def load(name: str) -> Engine:
    """The engine by id, or by ``module:Class``."""
    if ":" in name:
        return EntryPoint(name, name, "bottega.engines").load()()
    return plugins.load("bottega.engines", name)()


async def serve(engine: Engine, request: Request, bench: Bench, parent: Parent) -> None:
    """Pass the outputs of one request on."""
    bench.check_cancelled()
    async for output in engine.generate(request, bench):
        parent.send(output_frame(output))


def main() -> None:
    """Serve until the parent is gone."""
    name, *descriptors = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    faulthandler.enable(all_threads=False)
    loaded, loading = list[Engine](), threading.Lock()

    def engine() -> Engine:
        with loading:
            if not loaded:
                loaded.append(load(name))
            return loaded[0]

    first, *more = (Parent(int(descriptor)) for descriptor in descriptors)
    for lane in (first, *more):
        threading.Thread(target=lane.listen, daemon=True).start()
    for lane in more:
        threading.Thread(target=work, args=(lane, engine), daemon=True).start()
    work(first, engine)


def work(parent: Parent, engine: Callable[[], Engine]) -> None:
    """Serve one lane."""
    with asyncio.Runner() as runner:
        while True:
            head, stop = parent.requests.get()
            last: JsonObject = {"kind": "end"}
            try:
                request = Request.model_validate(head["request"])
                runner.run(serve(engine(), request, parent.bench(head, stop), parent))
            except BaseException as error:  # noqa: BLE001 - the parent raises it; sys.exit() is no way to end
                told = failure(error, head["request"]["engine"])
                trace = "" if isinstance(error, BottegaError) else "".join(traceback.format_exception(error))
                last = {"kind": "error", **error_fields(told), "trace": trace[-4000:]}
            parent.send(Frame({**last, "cpu": _cpu()}))


def _cpu() -> float:
    """Seconds of processor time that this process and the programs it called have used."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(item.ru_utime + item.ru_stime for item in used)


if __name__ == "__main__":
    main()
