"""LangGraph: a graph of five nodes in a row, SqliteSaver, ``durability="sync"``.

Its functional API (``entrypoint`` and ``task``) is left out: with 1.2.24, even under ``sync``, a task may start before
the result of the one before is on the disk, and a run took no less CPU.
"""

import sqlite3
from importlib import import_module
from pathlib import Path
from typing import Any, TypedDict

from benchmarks.durable.arm import STEPS, Step
from benchmarks.machine import levels

PACKAGES = ("langgraph", "langgraph-checkpoint-sqlite")
VARIANTS = {
    "langgraph": 'five nodes, SqliteSaver, durability="sync", WAL, synchronous FULL (its defaults)',
    "langgraph-normal": "the same on a connection set to synchronous NORMAL",
}


class State(TypedDict):
    text: str


class LangGraph:
    def __init__(self, folder: Path, variant: str, step: Step) -> None:
        graphs: Any = import_module("langgraph.graph")
        savers: Any = import_module("langgraph.checkpoint.sqlite")
        self.path = folder / "langgraph.sqlite"
        self.connection = sqlite3.connect(self.path, check_same_thread=False)
        if variant == "langgraph-normal":
            self.connection.execute("PRAGMA synchronous = NORMAL")
        graph: Any = graphs.StateGraph(State)
        for position in range(STEPS):

            def node(state: State, position: int = position) -> State:
                return {"text": step(position, state["text"])}

            graph.add_node(f"step{position}", node)
            graph.add_edge(f"step{position - 1}" if position else graphs.START, f"step{position}")
        graph.add_edge(f"step{STEPS - 1}", graphs.END)
        self.app: Any = graph.compile(checkpointer=savers.SqliteSaver(self.connection))

    def run(self, run_id: str, text: str) -> str:
        config = {"configurable": {"thread_id": run_id}}
        state: Any = self.app.invoke({"text": text}, config, durability="sync")
        return state["text"]

    def committed(self, run_id: str) -> int:
        reader = sqlite3.connect(self.path)
        count: int = reader.execute(
            "SELECT count(*) FROM checkpoints WHERE thread_id = ?", (run_id,)
        ).fetchone()[0]
        reader.close()
        return max(count - 2, 0)  # the first two hold the input

    def durability(self) -> str:
        return levels(self.connection)

    def close(self) -> None:
        self.connection.close()


def open_arm(folder: Path, variant: str, step: Step) -> LangGraph:
    return LangGraph(folder, variant, step)
