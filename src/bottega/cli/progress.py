"""Progress of planning and running, on a terminal and in a log."""

import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

from bottega.core.plan import Plan
from bottega.core.request import Delta, Progress
from bottega.pipelines.runner import Event

MARKS = {
    "done": "✓",
    "reused": "↺",
    "failed": "✗",
    "awaiting_review": "?",
    "skipped": "-",
    "stopped": "-",
    "delayed": "…",
    "parked": "✗",
}


class Watcher:
    """Call it with runner events. Ctrl-C sets ``cancelled``; a second one ends at once.

    On a terminal it draws a bar over all steps and a line for each step at work; elsewhere it prints a line when
    a step ends. Everything goes to standard error.
    """

    def __init__(self, plan: Plan | None = None, *, quiet: bool = False) -> None:
        self.cancelled = threading.Event()
        self._plan = plan
        self._quiet = quiet
        self._bars: dict[str, Any] = {}
        self._words: dict[str, int] = {}
        self._ended = 0
        self._live: Any = None
        self._before: Any = None
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._stop)
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Live

            self._live = Live(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )
            self._live.start()
            if self._plan is not None:
                total = len(self._plan.steps)
                self._bars[""] = self._live.add_task("all steps", total=total, note=f"0/{total}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Say what is going on before a plan exists."""
        if self._live is not None:
            for task in self._bars.values():
                self._live.update(task, visible=False)
            self._bars["note"] = self._live.add_task(text, total=None, note="")
        elif not self._quiet:
            self._line(text)

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._quiet:
            return
        match event.what:
            case "started":
                if self._live is not None:
                    self._bars[event.step] = self._live.add_task(event.step, total=1.0, note="")
            case "output":
                self._output(event)
            case "ended":
                self._ended += 1
                self._end(event)

    def _output(self, event: Event) -> None:
        if self._live is None or event.step not in self._bars:
            return
        if isinstance(event.output, Progress):
            self._live.update(
                self._bars[event.step], completed=event.output.fraction, note=event.output.note[:40]
            )
        elif isinstance(event.output, Delta):
            self._words[event.step] = self._words.get(event.step, 0) + 1
            self._live.update(self._bars[event.step], note=f"{self._words[event.step]} tokens")

    def _end(self, event: Event) -> None:
        result, plan = event.result, self._plan
        if result is None or plan is None:
            return
        total = len(plan.steps)
        words = f"{MARKS.get(result.state, ' ')} {event.step}  {result.state.replace('_', ' ')}"
        words += f", {result.seconds:.1f} s" if result.seconds else ""
        words += f", attempt {result.attempts}" if result.attempts > 1 else ""
        words += f": {result.error}" if result.error else ""
        if self._live is not None:
            if event.step in self._bars:
                self._live.remove_task(self._bars.pop(event.step))
            self._live.update(self._bars[""], completed=self._ended, note=f"{self._ended}/{total}")
            self._live.console.print(words, highlight=False, markup=False)
        else:
            self._line(f"[{self._ended}/{total}] {words}")

    def _line(self, text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - self._started:6.1f} s  {text}\n")
        sys.stderr.flush()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.cancelled.is_set():
            raise KeyboardInterrupt
        self.cancelled.set()
        self._line("stopping; press again to end at once")
