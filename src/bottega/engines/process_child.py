"""One process as its parent holds it: its lanes, what it said last, and how it ended."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from bottega.core.errors import EngineDied
from bottega.engines.frames import Frame, Inbox

_TAIL = 2048  # bytes of standard error that are kept


class Child:
    """A running `bottega.engines.process_main`. ``cpu`` is the processor time in seconds, as last heard.

    ``ended`` is empty until `end`, then ``exit code 3`` or the name of a signal; ``dismissed`` says that we killed it
    in mid-work. Each lane serves one request after the other, beside the other lanes.
    """

    def __init__(self, engine: str, lanes: int = 1) -> None:
        """Start it; it comes to an end by itself when this process or the calling thread does.

        Raises:
            EngineDied: no process can be started.
        """
        self.cpu = 0.0
        self.ended = ""
        self.dismissed = False
        self._peak = 0
        self._said = b""
        self._ending = threading.Lock()
        pairs = [socket.socketpair() for _ in range(lanes)]
        self.lanes = [Lane(self, ours) for ours, _ in pairs]
        descriptors = [theirs.fileno() for _, theirs in pairs]
        # -P: no module of the folder that we happen to be in. A session of its own: an interrupt from the terminal
        # reaches us, and we stop it; what it calls can be killed with it.
        main = [sys.executable, "-P", "-m", "bottega.engines.process_main"]
        command = [*main, engine, *(str(descriptor) for descriptor in descriptors)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=descriptors,
                start_new_session=True,
            )
        except OSError as error:
            for lane in self.lanes:
                lane.close()
            raise EngineDied(
                f"no process can be started: {error}", where=engine, remedy="free memory and try again"
            ) from error
        finally:
            for _, theirs in pairs:
                theirs.close()
        self.pid = self._process.pid
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def peak(self) -> int:
        """Its highest memory in bytes so far, as last seen; 0 where the system does not tell (other than Linux).

        What ``wait4`` tells is not used: on Linux it is at least our own memory.
        """
        with suppress(OSError):
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace")
            if not self.ended and (found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)):
                self._peak = int(found[1]) * 1024
        return self._peak

    def said(self) -> str:
        """The end of its standard error."""
        return self._said.decode("utf-8", errors="replace")

    def dismiss(self) -> None:
        """Kill it while somebody receives from it, who then ends it."""
        self.dismissed = True
        with self._ending:
            self._kill()

    def end(self) -> None:
        """Kill what is left of it and of the programs it called, and wait until their memory is free."""
        with self._ending:
            if self.ended:
                return
            self.peak()
            self._kill()
            _, status, used = os.wait4(self.pid, 0)
            code = self._process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu = used.ru_utime + used.ru_stime
            self.ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self._listener.join(timeout=1.0)  # a program that left the group may hold it open

    def _kill(self) -> None:
        if not self.ended:  # else the number may belong to somebody else
            with suppress(ProcessLookupError, PermissionError):  # it is over, and only not yet waited for
                os.killpg(self.pid, signal.SIGKILL)

    def _listen(self) -> None:
        pipe = self._process.stderr
        assert pipe is not None
        with pipe:
            while data := pipe.read(4096):
                self._said = (self._said + data)[-_TAIL:]


class Lane:
    """One channel to a child. Only one request at a time may use it."""

    def __init__(self, child: Child, ours: socket.socket) -> None:
        self.child = child
        self._socket = ours
        self._socket.setblocking(False)
        self._inbox, self._outbox = Inbox(), bytearray()

    def waiting(self) -> bool:
        """Whether the child is alive and has nothing to say here: ready for a request."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def send(self, frame: Frame) -> None:
        """Send a frame; what does not fit now goes out while we receive."""
        self._outbox += frame.packed()
        self._flush()

    async def receive(self, seconds: float) -> Frame | None:
        """The next frame; None when none is whole after this time.

        Raises:
            ConnectionError: the process is gone.
        """
        frame = self._inbox.next()
        if frame is None and not self._read():
            await self._ready(seconds)
            self._flush()
            if not self._read():
                self.child.peak()
        return frame or self._inbox.next()

    def close(self) -> None:
        """Use it no further."""
        self._socket.close()

    def _flush(self) -> None:
        with suppress(OSError):  # full for now, or gone: whoever receives sees which
            while self._outbox:
                del self._outbox[: self._socket.send(self._outbox)]

    def _read(self) -> bool:
        """Take what has arrived, if anything."""
        try:
            data = self._socket.recv(1 << 20)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionResetError
        self._inbox.feed(data)
        return True

    async def _ready(self, seconds: float) -> None:
        """Wait until something arrives, or what we hold back can go out.

        The socket is watched, not read, by the loop: nothing is lost when this is cancelled, or when the next loop
        goes on.
        """
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        timer = loop.call_later(seconds, ready.set)
        loop.add_reader(self._socket, ready.set)
        if self._outbox:
            loop.add_writer(self._socket, ready.set)
        try:
            await ready.wait()
        finally:
            timer.cancel()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
