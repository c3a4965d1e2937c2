"""Forks the processes of a storm, which has imported what they need: python -m benchmarks.chaos.nest.

A worker that has been killed is followed by the next in milliseconds and not after a second of imports, so blows fall on workers
that work. What is forked is a process as any other: a session of its own, its own connections and locks, ended by SIGKILL.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from select import select
from typing import Any

NEEDED = (
    "bottega.api", "bottega.cli.make", "bottega.cli.resume", "bottega.cli.worker", "bottega.delivery.deliver",
    "bottega.engines.process", "bottega.service.worker", "bottega.storage.postgres", "cryptography.x509",
)  # fmt: skip
ENGINES = ("chart", "compose", "document", "echo", "layout", "slip", "slip_apart", "table")


class Nestling:
    """One forked process. Its id stays its own until its end was seen."""

    def __init__(self, nest: "Nest", pid: int, talk: socket.socket | None) -> None:
        self.pid = pid
        self._talk = talk
        self._half = b""  # of a line
        self._nest = nest
        self._handle = os.pidfd_open(pid)
        self._ended = False

    def poll(self) -> int | None:
        """None while it lives."""
        return self._seen(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        if self._seen(timeout) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return 0

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if not self._ended:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self, *, group: bool = False) -> None:
        """End it, or all that it has started with it."""
        if not self._ended:
            (os.killpg if group else os.kill)(self.pid, signal.SIGKILL)

    def tell(self, text: str) -> None:
        """Give it text to read.

        Raises:
            OSError: it has ended.
        """
        assert self._talk is not None
        self._talk.sendall(text.encode())

    def said(self) -> set[str]:
        """The words that it has said since the last time."""
        assert self._talk is not None
        while True:
            try:
                more = self._talk.recv(1 << 16, socket.MSG_DONTWAIT)
            except OSError:  # nothing more, or it has ended
                break
            if not more:
                break
            self._half += more
        whole, _, self._half = self._half.rpartition(b"\n")
        return set(whole.decode().split())

    def _seen(self, seconds: float | None) -> int | None:
        if not self._ended and select([self._handle], [], [], seconds)[0]:
            self._ended = True
            os.close(self._handle)
            if self._talk is not None:
                self._talk.close()
            self._nest.buried(self.pid)
        return 0 if self._ended else None


class Nest:
    """The process that forks, as its storm sees it."""

    def __init__(self, setting: Mapping[str, str]) -> None:
        self._mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, env={**os.environ, **setting}, start_new_session=True,
            )  # fmt: skip
        assert self._mine.recv(16) == b"ready"

    def start(self, module: str, words: Sequence[str], log: Path, *, heard: bool) -> Nestling:
        """Fork ``python -m MODULE WORDS``, whose output goes to a log; one that is heard talks by a socket."""
        mine, theirs = socket.socketpair() if heard else (None, None)
        request = json.dumps({"module": module, "words": [*words], "log": str(log)}).encode()
        socket.send_fds(self._mine, [request], [theirs.fileno()] if theirs else [])
        if theirs:
            theirs.close()
        return Nestling(self, int(self._mine.recv(16)), mine)

    def buried(self, pid: int) -> None:
        """Its end was seen; its id may be given to another process."""
        self._mine.send(json.dumps({"buried": pid}).encode())
        self._mine.recv(16)

    def close(self) -> None:
        """End the nest; what it has forked must have ended."""
        self._mine.close()
        self._process.wait()


def _child(request: Mapping[str, Any], fds: Sequence[int]) -> None:
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    talk = fds[0] if fds else None
    os.dup2(os.open(os.devnull, os.O_RDONLY) if talk is None else talk, 0)
    os.dup2(log if talk is None else talk, 1)
    os.dup2(log, 2)
    os.closerange(3, 256)
    sys.argv = [request["module"], *request["words"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def main(handle: int) -> None:
    for name in NEEDED:
        with suppress(ImportError):
            import_module(name)
    plugins = import_module("bottega.plugins")
    for engine in ENGINES:
        plugins.load("bottega.engines", engine)
    storm = socket.socket(fileno=handle)
    storm.send(b"ready")
    while True:
        message, fds, _, _ = socket.recv_fds(storm, 1 << 16, 1)
        if not message:
            return
        request = json.loads(message)
        if "buried" in request:
            os.waitpid(request["buried"], 0)
            storm.send(b"buried")
        elif os.fork():
            for each in fds:
                os.close(each)
        else:
            os.setsid()
            storm.send(str(os.getpid()).encode())
            storm.detach()  # closed with all that is not the child's
            _child(request, fds)
            return


if __name__ == "__main__":
    main(int(sys.argv[1]))
