"""The parts that a run works with, and the engines at hand."""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bottega import plugins
from bottega.catalog.catalog import Catalog
from bottega.checks.base import Check
from bottega.core.canonical import digest
from bottega.core.errors import BottegaError, StorageFailed
from bottega.core.request import Finished, Output, Request, Usage
from bottega.engines.base import GENERATED, Bench, Card, Engine, LazyBench, failure
from bottega.engines.process import EngineProcess
from bottega.engines.residents import Residents
from bottega.governance.policy import Policy
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.cache import PrivateFolder, sweep
from bottega.storage.disk import disk
from bottega.storage.journal import Journal
from bottega.storage.runs import RunStore
from bottega.storage.tickets import Tickets
from bottega.storage.workers import Workers

Listen = Callable[[Output], None]
NOTHING = Usage()


@dataclass
class Workshop:
    """Stores, catalog, policy and engines, joined by `bottega.bootstrap`.

    ``now`` gives the time as RFC 3339 text in UTC; ``secret`` looks up a credential by name; ``limits`` says how many
    steps of an engine, and how many local steps of this host (``local``), may run at once. With ``isolate``, engines
    whose card asks for it run in processes of their own. ``holder`` is the pseudonym of the data subject whose
    sealed artifacts it works on, if it does; ``collections`` is the folder of indexed documents, and
    ``collections_server`` the address of the database that holds their tables where hosts share them; ``exact`` says up to how many
    vectors a search compares all. ``residents`` are the processes of engines, within a budget of memory.
    """

    artifacts: ArtifactStore
    runs: RunStore
    journal: Journal
    tickets: Tickets
    workers: Workers
    catalog: Catalog
    policy: Policy
    scratch: Path
    now: Callable[[], str]
    threads: int = 2
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    secret: Callable[[str], str] = lambda name: ""
    isolate: bool = True
    holder: str = ""
    collections: Path = Path("collections")
    collections_server: str = field(default="", repr=False)
    exact: int = 200_000
    residents: Residents = field(default_factory=Residents)
    _engines: dict[str, Engine] = field(default_factory=dict[str, Engine])
    _turns: dict[tuple[str, bool], asyncio.Semaphore] = field(
        default_factory=dict[tuple[str, bool], asyncio.Semaphore]
    )
    _scratch: PrivateFolder | None = None
    _folders: list[Path] = field(default_factory=list[Path])  # in it, used by nobody and empty

    def __post_init__(self) -> None:
        """Clear away what killed processes left."""
        with suppress(StorageFailed):  # a disk that cannot be written may still be read
            sweep(self.scratch)

    def engine(self, engine_id: str) -> Engine:
        """The one instance of an engine.

        Raises:
            NotFound: for an unknown id.
        """
        if engine_id not in self._engines:
            self._engines[engine_id] = plugins.load("bottega.engines", engine_id)()
        return self._engines[engine_id]

    def card(self, engine_id: str) -> Card:
        """What an engine declares about itself."""
        return self.engine(engine_id).card

    def weights(self, card: Card, asked: str = "") -> tuple[str, str]:
        """The model that an engine will use, and the digest over all weights and assets that it needs.

        Raises:
            NotFound: for an unknown model.
        """
        if not card.models:
            return asked, ""
        model = asked or (card.models[0] if card.source_type == GENERATED else "")
        digests = [self.catalog.get(name).digest for name in ([model] if model else card.models)]
        return model, digests[0] if len(digests) == 1 else digest(digests)

    def check(self, check_id: str) -> Check:
        """A check by id.

        Raises:
            NotFound: for an unknown id.
        """
        made: Check = plugins.load("bottega.checks", check_id)()
        return made

    @asynccontextmanager
    async def bench(self, cancelled: threading.Event, *, together: bool = False) -> AsyncGenerator[Bench]:
        """A bench whose private folder is made when it is asked for, and gone afterwards."""
        bench = LazyBench(
            self._folder,
            locate=self.artifacts.locate,
            weights=self.catalog.path,
            threads=self.threads,
            secret=self.secret,
            cancelled=cancelled,
            content=self.artifacts.read,
            together=together,
        )
        try:
            yield bench
        finally:
            if bench.touched:
                if os.listdir(bench.scratch):  # noqa: PTH208 - after many a step
                    await asyncio.to_thread(shutil.rmtree, bench.scratch, ignore_errors=True)
                else:
                    self._folders.append(bench.scratch)  # many an engine leaves nothing in it

    def _folder(self) -> Path:
        """A folder inside that of this process.

        Raises:
            StorageFailed: it cannot be made.
        """
        if self._folders:
            return self._folders.pop()
        if self._scratch is None:
            self._scratch = PrivateFolder(self.scratch)
        with disk(self.scratch):
            return Path(tempfile.mkdtemp(dir=self._scratch.path))

    async def generate(
        self, request: Request, bench: Bench, listen: Listen | None = None
    ) -> tuple[list[Finished], Usage]:
        """Run one request to its end and gather its files and what it used.

        Raises:
            BottegaError: as the engine raised it, with the usage that it told before; anything else an engine raises becomes `EngineFailed`.
        """
        card = self.card(request.engine)
        if card.locality == "remote" and card.isolation == "thread":
            return await self._generated(self.engine(card.id), request, bench, listen)
        places = card.together if bench.together else 1
        turn = (request.engine, bench.together)
        async with self._turns.setdefault(turn, asyncio.Semaphore(places)):
            bench.check_cancelled()
            try:
                async with self._at_hand(card, request, bench) as engine:
                    return await self._generated(engine, request, bench, listen)
            except BottegaError:
                raise
            except Exception as error:
                raise failure(error, request.engine) from error

    async def _generated(
        self, engine: Engine | EngineProcess, request: Request, bench: Bench, listen: Listen | None
    ) -> tuple[list[Finished], Usage]:
        files: list[Finished] = []
        used = NOTHING
        bench.check_cancelled()
        try:
            async for output in engine.generate(request, bench):
                if isinstance(output, Finished):
                    files.append(output)
                elif isinstance(output, Usage):
                    used = output
                if listen is not None:
                    listen(output)
        except BottegaError as error:
            if used != NOTHING and not error.used.get("usage"):
                error.used = {**error.used, "usage": used.document()}
            raise
        except Exception as error:
            raise failure(error, request.engine) from error
        return files, used

    def _at_hand(
        self, card: Card, request: Request, bench: Bench
    ) -> AbstractAsyncContextManager[Engine | EngineProcess]:
        """The engine, or its process: one lane for what is made alone, and others for what is made together."""
        if not self.isolate or card.isolation != "process":
            return nullcontext(self.engine(card.id))
        lanes = card.together + 1 if card.together > 1 else 1
        used = [request.model] if request.model else card.models
        expected = sum(self.catalog.get(model).size for model in used) if self.residents.most else 0
        return self.residents.using(card.id, lanes, expected, bench)

    async def ask(self, request: Request, cancelled: threading.Event | None = None) -> Sequence[Finished]:
        """One request outside a plan (conversion, checks): its files, read into memory."""
        async with self.bench(cancelled or threading.Event()) as bench:
            files, _ = await self.generate(request, bench)
            return [
                file
                if file.path is None
                else file.model_copy(update={"data": file.path.read_bytes(), "path": None})
                for file in files
            ]

    def close(self) -> None:
        """Give back the memory of every engine, end their processes and remove their folders."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()
        self.residents.close()
        self._folders.clear()
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None
