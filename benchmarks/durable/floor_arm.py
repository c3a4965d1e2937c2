"""The floor: a journal of two tables written by hand, seven commits a run, and nothing else."""

import json
import sqlite3
from pathlib import Path

from benchmarks.durable.arm import STEPS, Step
from benchmarks.machine import levels

PACKAGES: tuple[str, ...] = ()
VARIANTS = {
    "floor": "plain sqlite3, WAL, synchronous FULL",
    "floor-normal": "plain sqlite3, WAL, synchronous NORMAL: a power cut may take the last commits",
}
SCHEMA = """
CREATE TABLE runs (id TEXT PRIMARY KEY, input TEXT NOT NULL, output TEXT) STRICT;
CREATE TABLE steps (
    run TEXT NOT NULL, position INTEGER NOT NULL, output TEXT NOT NULL, PRIMARY KEY (run, position)
) STRICT;
"""


class Floor:
    def __init__(self, folder: Path, variant: str, step: Step) -> None:
        self.path, self.step = folder / "floor.sqlite", step
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute(f"PRAGMA synchronous = {'NORMAL' if variant == 'floor-normal' else 'FULL'}")
        self.connection.executescript(SCHEMA)

    def run(self, run_id: str, text: str) -> str:
        write = self.connection.execute  # each statement is its own commit
        write("INSERT INTO runs (id, input) VALUES (?, ?)", (run_id, json.dumps(text)))
        for position in range(STEPS):
            text = self.step(position, text)
            write("INSERT INTO steps VALUES (?, ?, ?)", (run_id, position, json.dumps(text)))
        write("UPDATE runs SET output = ? WHERE id = ?", (json.dumps(text), run_id))
        return text

    def committed(self, run_id: str) -> int:
        reader = sqlite3.connect(self.path)
        count: int = reader.execute("SELECT count(*) FROM steps WHERE run = ?", (run_id,)).fetchone()[0]
        reader.close()
        return count

    def durability(self) -> str:
        return levels(self.connection)

    def close(self) -> None:
        self.connection.close()


def open_arm(folder: Path, variant: str, step: Step) -> Floor:
    return Floor(folder, variant, step)
