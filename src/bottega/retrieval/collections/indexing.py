"""The writing side of a collection: `Indexer`."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bottega.core.canonical import digest_bytes
from bottega.core.errors import (
    BottegaError,
    Cancelled,
    InvalidValue,
    NotFound,
    StorageFailed,
    UnreadableSource,
)
from bottega.core.passage import Passage
from bottega.retrieval.answers.coverage import addresses_a_model, without_instructions
from bottega.retrieval.chunk import Block, Composer
from bottega.retrieval.collections import spaces
from bottega.retrieval.collections.analysis import ENGLISH, analyser_of, language_of
from bottega.retrieval.collections.embedding import BATCH, Embedding
from bottega.retrieval.collections.file_vectors import kept_by
from bottega.retrieval.collections.files import MEMBER, Found, roots, under, walk
from bottega.retrieval.collections.lock import Work, turn
from bottega.retrieval.collections.removing import erase, inside, settle
from bottega.retrieval.collections.report import Progress, Report, Told
from bottega.retrieval.collections.shelves import catch_up
from bottega.retrieval.collections.sketch import EXACT
from bottega.retrieval.collections.store import DocumentRow, Labels, Piece, Store
from bottega.retrieval.collections.unpack import Bounds, kind, members
from bottega.retrieval.convert import Ask, Limits, Reading, pages_of, read_bytes
from bottega.retrieval.convert import Store as StoreBytes
from bottega.retrieval.embed import Embedder
from bottega.retrieval.lexical import searched
from bottega.retrieval.media import EMAIL, media_type_of

if TYPE_CHECKING:
    from bottega.retrieval.collections.server import Server

LIMITS = Limits(file_bytes=500_000_000, characters=200_000_000, pages=20_000, ocr_pages=200)
WORDS_EVERY = 20.0  # seconds between two commits of the word indexes
CANNOT = "it could not be read"
MEANWHILE = "it was taken out while it was being indexed"


@dataclass(frozen=True)
class Tools:
    """What an indexer works with: engines for pictures and sound, a store for their bytes, one embedder or none."""

    ask: Ask | None = None
    store: StoreBytes | None = None
    embedder: Embedder | None = None
    weights: str = ""
    limits: Limits = LIMITS
    bounds: Bounds = field(default_factory=Bounds)
    exact: int = EXACT


class Indexer:
    """Puts documents into a collection, and changes its embedder. It waits for its turn, which it has as long as it must.

    A document is acknowledged when it is reported; from then on it survives whatever happens. A killed call leaves
    nothing else behind that the next one would not throw away or finish.
    """

    def __init__(
        self,
        folder: Path,
        tools: Tools,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        cancelled: threading.Event | None = None,
        server: "Server | None" = None,
    ) -> None:
        self._folder = folder
        self._server = server
        self._tools = tools
        self._tell = on_progress
        self._cancelled = cancelled or threading.Event()
        self._store = Store(folder, server)
        self._kept = kept_by(self._store, tools.exact)
        self._embedding = Embedding(
            self._store, self._kept, tools.embedder, tools.weights, on_progress, self._check
        )
        self._space: spaces.Space | None = None
        self._told: list[Told] = []
        self._met: set[str] = set()  # places
        self._languages: dict[Labels, Counter[str]] = {}  # of passages
        self._passages = 0
        self._erased = 0  # generation of the last removal by others that was erased in the files
        self._words_at = time.monotonic()

    async def index(
        self, paths: Sequence[Path], *, labels: Labels | None = None, prune: bool = False
    ) -> Report:
        """Index what is new or changed under these paths.

        With ``labels`` every document met gets them; without, a known document keeps its own and a new one is for all.
        With ``prune``, documents whose files under the paths have vanished are removed. The tools' embedder must be that
        of the collection; a new collection takes it over.

        Raises:
            UnreadableSource: a path is not there.
            InvalidValue: the collection has another embedder than the tools.
            Cancelled: what was acknowledged stays.
            StorageFailed: the disk is full.
        """
        began = time.monotonic()
        given = await asyncio.to_thread(roots, paths)
        async with self._turn():
            await self._index(given, labels, prune=prune)
        return self._report(began)

    async def _index(self, given: Sequence[Path], labels: Labels | None, *, prune: bool) -> None:
        await asyncio.to_thread(self._begin)
        if self._space is not None:
            await self._embedding.fill(self._space, lambda work: nullcontext())
            if self._embedding.embedded:
                await asyncio.to_thread(spaces.noticed, self._store)
        found = await asyncio.to_thread(lambda: list(walk(given)))
        sizes = [_size(each.path) for each in found]
        done_bytes, worked = 0, 0.0
        try:
            for number, (file, size) in enumerate(zip(found, sizes, strict=True)):
                left = worked / done_bytes * (sum(sizes) - done_bytes) if done_bytes else None
                self._tell(
                    Progress(
                        stage="documents", done=number, of=len(found), passages=self._passages,
                        seconds_left=left, name=file.name,
                    )
                )  # fmt: skip
                start = time.monotonic()
                await self._file(file, labels)
                worked += time.monotonic() - start
                done_bytes += size
                await self._words()
                await asyncio.to_thread(self._forget)
            if prune:
                await self._prune(given)
        finally:
            await asyncio.to_thread(self._end)

    async def embed(self) -> Report:
        """Make the tools' embedder that of the collection. The earlier vectors are searched until all new ones are there.

        Raises:
            Cancelled: it was stopped, and the next call goes on from there; or another embedder was asked for meanwhile.
            StorageFailed: the disk is full.
        """
        began = time.monotonic()
        await self._embedding.change(self._turn)
        return self._report(began)

    def close(self) -> None:
        """Close the files."""
        self._store.close()

    # one file

    async def _file(self, file: Found, labels: Labels | None) -> None:
        place = str(file.path)
        try:
            data = await asyncio.to_thread(read_bytes, file.path, self._tools.limits)
        except UnreadableSource as error:
            if self._store.is_withdrawn(place):
                return
            self._skip(place, file.name, "", "", _size(file.path), error)
            return
        await self._document(place, file.name, data, labels, ())

    async def _document(
        self, place: str, name: str, data: bytes, labels: Labels | None, chain: tuple[str, ...]
    ) -> None:
        """One file or member; ``chain`` are the digests of what it stands in."""
        self._check()
        self._met.add(place)
        if self._store.is_withdrawn(place):
            self._told.append(Told(name=name, outcome="removed", reason=MEANWHILE))
            return
        digest = await asyncio.to_thread(digest_bytes, data)
        known = self._store.at(place)
        if known is not None and known.digest == digest and known.state == "indexed":
            self._unchanged(known, labels)
            return
        if known is None and not chain and (twin := self._twin(digest, labels)) is not None:
            if Path(twin.place).exists():
                self._told.append(Told(name=name, outcome="copy", reason=f"the same bytes as {twin.name}"))
                return
            was = f"it was {twin.name}" if twin.labels == (labels or frozenset()) else "it keeps its labels"
            name = self._store.free_name(name, place, twin.labels)
            self._store.rename(twin, place, name)
            self._met.update(each.place for each in inside(self._store, place))
            self._told.append(Told(name=name, outcome="renamed", reason=was))
            return
        own = labels if labels is not None else known.labels if known is not None else frozenset[str]()
        name = self._store.free_name(name, place, own)
        media_type = ""
        try:
            media_type = await self._unpacked(place, name, data, own, (*chain, digest))
            if not media_type or media_type == EMAIL:
                media_type = media_type_of(data, name, where=name)
                await self._convert(place, name, data, digest, media_type, own)
            else:
                document = self._store.begin(digest, media_type, len(data), own)
                await asyncio.to_thread(self._finish, document, place, name, 0, 0, ())
        except (Cancelled, StorageFailed):
            raise
        except BottegaError as error:
            self._skip(place, name, digest, media_type, len(data), error)
        except Exception as error:  # noqa: BLE001 - what a converter did not think of must not stop the other documents
            fault = UnreadableSource(
                f"{CANNOT}: {type(error).__name__}: {error}",
                remedy="save it again in its format, or report it",
            )
            self._skip(place, name, digest, media_type, len(data), fault)

    async def _unpacked(
        self, place: str, name: str, data: bytes, labels: Labels, chain: tuple[str, ...]
    ) -> str:
        """Index what stands in an archive; gives its media type, or nothing for what is no archive."""
        media_type = kind(data, name)
        if not media_type:
            return ""
        if len(chain) > self._tools.bounds.depth:
            raise UnreadableSource(
                f"it stands in {len(chain) - 1} archives, one in the other",
                remedy="unpack it yourself and give what matters",
            )
        if chain[-1] in chain[:-1]:
            raise UnreadableSource("the archive holds itself", remedy="do not trust it")
        before = {each.place: each for each in inside(self._store, place)}
        found = members(data, name, name, self._tools.bounds)
        while (member := await asyncio.to_thread(next, found, None)) is not None:
            where = f"{place}{MEMBER}{member.name}"
            before.pop(where, None)
            if member.refused is not None:
                self._skip(where, f"{name}/{member.name}", "", "", 0, member.refused)
            else:
                await self._document(where, f"{name}/{member.name}", member.data, labels, chain)
        stale = [each for each in before.values() if each.place not in self._met]
        self._remove(stale)
        return media_type

    async def _convert(
        self, place: str, name: str, data: bytes, digest: str, media_type: str, labels: Labels
    ) -> None:
        reading = Reading(
            name=name, where=name, media_type=media_type, data=data, sha256=digest, limits=self._tools.limits,
            ask=self._tools.ask, store=self._tools.store,
        )  # fmt: skip
        document = self._store.begin(digest, media_type, len(data), labels)
        count = pages = 0
        try:
            writer = _Writer(self, document, labels)
            async with aclosing(pages_of(reading)) as source:
                async for passages in _passages(source, Composer(name, digest)):
                    pages += 1
                    count += len(passages)
                    await writer.add(passages)
            await writer.flush()
            if writer.addressing:
                reading.notes.append(
                    f"{writer.addressing} sentences address a language model; it is not shown them"
                )
            if not count:
                raise reading.refuse("the file holds no text", "give a file with text in it")
        except BaseException:
            self._store.remove([document])
            raise
        await asyncio.to_thread(self._finish, document, place, name, pages, count, reading.notes)

    # what happens to documents

    def _finish(
        self, document: int, place: str, name: str, pages: int, count: int, notes: Sequence[str]
    ) -> None:
        if not self._store.finish(document, place, name, pages, notes):
            self._told.append(Told(name=name, outcome="removed", reason=MEANWHILE))
            return
        self._passages += count
        self._told.append(Told(name=name, outcome="indexed", passages=count, notes=tuple(notes)))

    def _unchanged(self, known: DocumentRow, labels: Labels | None) -> None:
        within = inside(self._store, known.place)
        self._met.update(each.place for each in within)
        moved = [each for each in (known, *within) if labels is not None and each.labels != labels]
        if moved and labels is not None:
            self._store.relabel(moved, labels)
            self._erase = True
        self._told.append(Told(name=known.name, outcome="relabelled" if moved else "unchanged"))

    def _skip(
        self, place: str, name: str, digest: str, media_type: str, size: int, error: BottegaError
    ) -> None:
        self._met.add(place)
        known = self._store.at(place)
        stays = known is not None and known.state == "indexed"
        self._store.skip(place, name, digest, media_type, size, error.message, error.remedy)
        notes = ("what was indexed before stays",) if stays else ()
        self._told.append(
            Told(name=name, outcome="skipped", reason=error.message, remedy=error.remedy, notes=notes)
        )

    def _twin(self, digest: str, labels: Labels | None) -> DocumentRow | None:
        """A document with the same bytes at another place, not one in an archive, that a new file there would be the same as.

        That is one with the labels which the new one would get; of one that has moved, nobody says that it loses its own.
        """
        found = self._store.documents("digest = ? AND state = 'indexed'", digest)
        for each in found:
            same = each.labels == (labels or frozenset())
            moved = labels is None and not Path(each.place).exists()
            if MEMBER not in each.place and (same or moved):
                return each
        return None

    async def _prune(self, given: Sequence[Path]) -> None:
        gone = [
            each
            for each in self._store.documents()
            if each.place not in self._met
            and under(each.place, given)
            and not Path(each.place.partition(MEMBER)[0]).exists()
        ]
        self._remove(gone)
        self._erase = self._erase or bool(gone)

    def _remove(self, documents: Sequence[DocumentRow]) -> None:
        if documents:
            self._store.remove([each.id for each in documents])
            self._told += [
                Told(name=each.name, outcome="removed") for each in documents if each.state == "indexed"
            ]

    # turns, and derived files

    _erase = False

    @asynccontextmanager
    async def _turn(self, work: Work = "writing") -> AsyncGenerator[None]:
        def waiting() -> None:
            self._tell(Progress(stage="waiting", done=0, of=0, passages=self._passages))

        ours = False
        try:
            async with turn(self._folder, self._server, work, cancelled=self._cancelled, waiting=waiting):
                if self._store.replaced:
                    raise NotFound(
                        "the collection was deleted meanwhile", remedy="give the same command again"
                    )
                ours = True
                yield
        finally:
            if ours and work == "writing":
                await asyncio.to_thread(settle, self._store, self._kept, self._server)

    def _begin(self) -> None:
        """Throw away what a killed writer left, and take up what it had not finished."""
        self._store.drop_partial()
        if at := self._store.withdrawn():
            erase(self._store, self._kept)
            self._store.settled(at)
        embedder, space = self._tools.embedder, spaces.active(self._store)
        if embedder is not None and space is None and not self._store.documents():
            space = spaces.prepared(self._store, embedder, self._tools.weights)
            spaces.swap(self._store, space)
        wanted = (embedder.id, self._tools.weights) if embedder else None
        if wanted != ((space.embedder, space.weights) if space else None):
            raise InvalidValue(
                f"the collection's embedder is {space.embedder if space else 'none'}", where="embedder",
                remedy="name it, to have another",
            )  # fmt: skip
        if space is not None:
            self._kept.mend(space)
        self._space = space

    async def _words(self) -> None:
        if time.monotonic() - self._words_at > WORDS_EVERY:
            await asyncio.to_thread(catch_up, self._store, self._folder / "words")
            self._words_at = time.monotonic()

    def _forget(self) -> None:
        """Take out of the files what somebody took out meanwhile: he could not do it while this one writes."""
        if (at := self._store.withdrawn()) > self._erased:
            erase(self._store, self._kept)
            self._erased = at

    def _end(self) -> None:
        if at := self._store.withdrawn():
            self._erase = True
        self._kept.blank()
        catch_up(self._store, self._folder / "words", erase=self._erase)
        self._store.settled(at)
        if (space := spaces.active(self._store)) is not None:
            self._kept.tidy(space)

    def write(self, document: int, passages: Sequence[Passage], labels: Labels, main: str) -> None:
        """Put passages of a document that is being read on their shelves; ``main`` is its language."""
        self._check()
        self._forget()
        languages = [language_of(one.text, main) for one in passages]
        space, embedder = self._space, self._tools.embedder
        kept: Sequence[object] = [None] * len(passages)
        if space is not None and embedder is not None:
            rows = embedder.passages([searched(one.heading, one.text) for one in passages])
            kept = self._kept.keep(space, rows)
            self._embedding.embedded += len(rows)
        pieces = [
            Piece(one, language, analyser_of(language), vector)
            for one, language, vector in zip(passages, languages, kept, strict=True)
        ]
        self._store.add(document, pieces, labels, space.id if space is not None else None)
        self._languages[labels].update(languages)

    def expected(self, labels: Labels) -> str:
        """The language of most passages with these labels: what is under others, not everybody may infer."""
        if labels not in self._languages:
            self._languages[labels] = self._store.languages(labels)
        most = self._languages[labels].most_common(1)
        return most[0][0] if most else ENGLISH

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled("stopped; the same command goes on where this one ended")

    def _report(self, began: float) -> Report:
        return Report(
            collection=self._folder.name,
            documents=tuple(self._told),
            embedded=self._embedding.embedded,
            seconds=round(time.monotonic() - began, 3),
        )


class _Writer:
    """Gathers the passages of one document into batches; the first batch tells the document's language."""

    def __init__(self, indexer: Indexer, document: int, labels: Labels) -> None:
        self._indexer = indexer
        self._document = document
        self._labels = labels
        self._held: list[Passage] = []
        self._language = ""
        self.addressing = 0  # sentences

    async def add(self, passages: Sequence[Passage]) -> None:
        self._held += passages
        self.addressing += await asyncio.to_thread(_addressing, passages)
        while len(self._held) >= BATCH:
            await self._write(BATCH)

    async def flush(self) -> None:
        if self._held:
            await self._write(len(self._held))

    async def _write(self, count: int) -> None:
        some, self._held = self._held[:count], self._held[count:]
        if not self._language:
            self._language = await asyncio.to_thread(
                language_of, "\n".join(one.text for one in some), "", self._indexer.expected(self._labels)
            )
        await asyncio.to_thread(self._indexer.write, self._document, some, self._labels, self._language)


def _addressing(passages: Sequence[Passage]) -> int:
    """How many sentences talk to whoever reads them as a program."""
    return without_instructions([one for one in passages if addresses_a_model(one.text)])[1]


async def _passages(pages: AsyncIterator[list[Block]], composer: Composer) -> AsyncIterator[list[Passage]]:
    async for blocks in pages:
        yield (await asyncio.to_thread(composer.page, blocks))[1]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
