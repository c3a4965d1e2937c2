"""Steps that start together register their worker from several threads."""

import threading
from pathlib import Path

from bottega.bootstrap import now
from bottega.storage.state import State, open_state


def register(state: State, gate: threading.Barrier) -> None:
    gate.wait()
    state.workers.register()


def test_threads_that_register_together_are_one_worker(tmp_path: Path) -> None:
    for round_ in range(5):
        before = {*threading.enumerate()}
        state = open_state(tmp_path / str(round_), now)
        gate = threading.Barrier(8)
        threads = [threading.Thread(target=register, args=(state, gate)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        beating = [thread for thread in {*threading.enumerate()} - before if thread.name == "bottega-beat"]
        assert len(beating) == 1
        assert not state.workers.gone(state.workers.id)
        state.close()
    assert len(list(tmp_path.glob("*/workers/*"))) == 0
