"""Opens the state: the tables are made, or brought up from an earlier release, and the stores joined over them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bottega.core.errors import ExtraMissing
from bottega.storage import schema
from bottega.storage.budgets import Budgets
from bottega.storage.contents import Contents
from bottega.storage.database import Database, Transaction
from bottega.storage.fold import fold
from bottega.storage.journal import Journal, Seal
from bottega.storage.migrate import migrate
from bottega.storage.runs import RunStore
from bottega.storage.sqlite import SQLite
from bottega.storage.tickets import Tickets
from bottega.storage.workers import BEAT, Workers


@dataclass(frozen=True)
class State:
    """Everything that is known, over one database."""

    database: Database
    journal: Journal
    contents: Contents
    runs: RunStore
    tickets: Tickets
    budgets: Budgets
    workers: Workers

    def fold_again(self) -> None:
        """Empty the folded tables and make them from the journal; they come out as they were."""

        def work(transaction: Transaction) -> None:
            for table in schema.FOLDED_TABLES:
                transaction.execute(f"DELETE FROM {table}")
            self.journal.replay(transaction)

        self.database.write(work, durable=True)

    def close(self) -> None:
        """Sign this worker off and close the database."""
        self.workers.close()
        self.database.close()


def open_state(
    folder: Path, now: Callable[[], str], *, url: str = "", seal: Seal | None = None, beat: float = BEAT
) -> State:
    """The state under a folder; ``url`` names a PostgreSQL database in place of the SQLite file.

    ``beat`` is in seconds, between two heartbeats; all workers of a state need about the same.

    Raises:
        StorageFailed: it cannot be opened, is damaged, or was written by a newer release.
        ExtraMissing: the driver of PostgreSQL is not installed.
    """
    database: Database
    if url:
        try:
            from bottega.storage.postgres import PostgreSQL
        except ImportError as error:
            raise ExtraMissing(
                "the package 'psycopg' is not installed", remedy="pip install 'bottega[postgres]'"
            ) from error
        database = PostgreSQL(url)
    else:
        database = SQLite(folder / "bottega.sqlite")
    journal = Journal(database, now, fold, seal)
    contents = Contents(database, seal)
    try:
        migrate(database, journal, contents)
    except BaseException:
        database.close()
        raise
    workers = Workers(database, folder / "workers", beat=beat)
    budgets = Budgets(journal)
    runs = RunStore(journal, workers, contents, budgets)
    return State(database, journal, contents, runs, Tickets(journal, contents), budgets, workers)
