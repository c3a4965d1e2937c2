"""DBOS Transact on SQLite: one workflow that calls one step five times."""

import sqlite3
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.durable.arm import STEPS, Step
from benchmarks.machine import levels

PACKAGES = ("dbos",)
VARIANTS = {
    "dbos": "as installed: SQLite with a rollback journal, synchronous FULL",
    "dbos-wal": "the file set to WAL before launch, synchronous FULL",
    "dbos-wal-normal": "WAL, own SQLAlchemy engine set to synchronous NORMAL",
}


class Dbos:
    def __init__(self, folder: Path, variant: str, step: Step) -> None:
        dbos: Any = import_module("dbos")
        self.path = folder / "dbos.sqlite"
        url = f"sqlite:///{self.path}"
        config: dict[str, Any] = {"name": "durable-bench", "system_database_url": url, "log_level": "ERROR"}
        if variant != "dbos":
            preset = sqlite3.connect(self.path)
            preset.execute("PRAGMA journal_mode = WAL")
            preset.close()
        self.normal = variant == "dbos-wal-normal"
        if self.normal:
            config["system_database_engine"] = normal_engine(url)
        self.dbos = dbos.DBOS
        self.set_id = dbos.SetWorkflowID
        self.dbos(config=config)

        def one_step(position: int, text: str) -> str:
            return step(position, text)

        durable_step: Any = self.dbos.step()(one_step)

        def five_steps(text: str) -> str:
            for position in range(STEPS):
                text = durable_step(position, text)
            return text

        self.workflow: Any = self.dbos.workflow()(five_steps)
        self.dbos.launch()

    def run(self, run_id: str, text: str) -> str:
        with self.set_id(run_id):
            return self.workflow(text)

    def committed(self, run_id: str) -> int:
        reader = sqlite3.connect(self.path)
        count: int = reader.execute(
            "SELECT count(*) FROM operation_outputs WHERE workflow_uuid = ?", (run_id,)
        ).fetchone()[0]
        reader.close()
        return count

    def durability(self) -> str:
        # DBOS opens its own connections and sets no level on them: a new one shows the same default.
        connection = sqlite3.connect(self.path)
        if self.normal:
            connection.execute("PRAGMA synchronous = NORMAL")
        try:
            return levels(connection)
        finally:
            connection.close()

    def close(self) -> None:
        self.dbos.destroy()


def normal_engine(url: str) -> Any:
    """An engine like the one DBOS makes for SQLite, with a lower level: its listener leaves ours alone."""
    sqlalchemy: Any = import_module("sqlalchemy")
    engine: Any = sqlalchemy.create_engine(url)

    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")

    sqlalchemy.event.listen(engine, "connect", connected)
    return engine


def open_arm(folder: Path, variant: str, step: Step) -> Dbos:
    return Dbos(folder, variant, step)
