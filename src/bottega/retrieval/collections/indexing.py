"""The writing side of a collection: `Indexer`."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
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
from bottega.retrieval.collections.file_vectors import kept_by
from bottega.retrieval.collections.files import MEMBER, Found, roots, under, walk
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
BATCH = 64  # passages embedded and written at a time
WORDS_EVERY = 20.0  # seconds between two commits of the word indexes
CANNOT = "it could not be read"


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
    """Puts documents into a collection. The caller holds the collection's lock as long as it lives.

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
        self._tools = tools
        self._tell = on_progress
        self._cancelled = cancelled or threading.Event()
        self._store = Store(folder, server)
        self._kept = kept_by(self._store, tools.exact)
        self._store.drop_partial()
        self._space: spaces.Space | None = None
        self._told: list[Told] = []
        self.gone: list[str] = []
        self._met: set[str] = set()  # places
        self._languages: dict[Labels, Counter[str]] = {}  # of passages
        self._passages = 0
        self._embedded = 0
        self._words_at = time.monotonic()

    async def index(
        self, paths: Sequence[Path], *, labels: Labels | None = None, prune: bool = False
    ) -> Report:
        """Index what is new or changed under these paths.

        With ``labels`` every document met gets them; without, a known document keeps its own and a new one is for all.
        With ``prune``, documents whose files under the paths have vanished are removed.

        Raises:
            UnreadableSource: a path is not there.
            Cancelled: what was acknowledged stays.
            StorageFailed: the disk is full.
        """
        began = time.monotonic()
        given = await asyncio.to_thread(roots, paths)
        await self._vectors()
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
                await self._words(force=False)
            if prune:
                await self._prune(given)
        finally:
            await self._words(force=True)
        return self._report(began)

    async def embed(self) -> Report:
        """Give vectors of the present embedder to every passage; the earlier ones are searched until all are there.

        Raises:
            Cancelled: the next call goes on where this one stopped.
        """
        began = time.monotonic()
        await self._vectors()
        return self._report(began)

    def remove(self, names: Iterable[str], allowed: Labels | None = None) -> Report:
        """Remove documents by name, with everything that stands in them; gone from every file when this returns.

        With ``allowed``, documents under other labels are as if they were not there. ``gone`` then has the places.

        Raises:
            NotFound: there is no document of this name; nothing is removed then.
            InvalidValue: several have it.
        """
        began = time.monotonic()
        gone: list[DocumentRow] = []

        def seen(where: str, *values: str) -> list[DocumentRow]:
            found = self._store.documents(where, *values)
            return [
                each
                for each in found
                if allowed is None or (each.labels <= allowed and each.state == "indexed")
            ]

        for name in names:
            found = seen("name = ? OR place = ?", name, name)
            if len(found) > 1:
                raise InvalidValue(
                    f"{len(found)} documents are called '{name}'",
                    where="remove",
                    remedy=f"name one by its place: {' or '.join(each.place for each in found)}",
                )
            if not found:
                near = seen("replace(name, ?, '') <> name", name)[:3]
                raise NotFound(
                    f"no document '{name}' in this collection",
                    remedy=f"perhaps {' or '.join(each.name for each in near)}" if near else "check its name",
                )
            gone += [*found, *self._inside(found[0].place)]
        self._remove(gone)
        self.gone = [each.place for each in gone]
        catch_up(self._store, self._folder / "words", erase=True)
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
            self._skip(place, file.name, "", "", _size(file.path), error)
            return
        await self._document(place, file.name, data, labels, ())

    async def _document(
        self, place: str, name: str, data: bytes, labels: Labels | None, chain: tuple[str, ...]
    ) -> None:
        """One file or member; ``chain`` are the digests of what it stands in."""
        self._check()
        self._met.add(place)
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
            self._met.update(each.place for each in self._inside(place))
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
        before = {each.place: each for each in self._inside(place)}
        inside = members(data, name, name, self._tools.bounds)
        while (member := await asyncio.to_thread(next, inside, None)) is not None:
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
        self._blank(self._store.finish(document, place, name, pages, notes))
        self._passages += count
        self._told.append(Told(name=name, outcome="indexed", passages=count, notes=tuple(notes)))

    def _unchanged(self, known: DocumentRow, labels: Labels | None) -> None:
        inside = self._inside(known.place)
        self._met.update(each.place for each in inside)
        moved = [each for each in (known, *inside) if labels is not None and each.labels != labels]
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
            self._blank(self._store.remove([each.id for each in documents]))
            self._told += [
                Told(name=each.name, outcome="removed") for each in documents if each.state == "indexed"
            ]

    def _inside(self, place: str) -> list[DocumentRow]:
        first = place + MEMBER
        after = first[:-1] + chr(
            ord(first[-1]) + 1
        )  # a range, because only that is looked up in the index of places
        return self._store.documents("place >= ? AND place < ?", first, after)

    # derived files

    _erase = False

    async def _words(self, *, force: bool) -> None:
        if force or time.monotonic() - self._words_at > WORDS_EVERY:
            await asyncio.to_thread(
                catch_up, self._store, self._folder / "words", erase=force and self._erase
            )
            self._words_at = time.monotonic()
        if force and self._space is not None:
            self._space = spaces.active(self._store)
            if self._space is not None:
                await asyncio.to_thread(self._kept.tidy, self._space)

    async def _vectors(self) -> None:
        """Make the tools' embedder that of the collection, and embed whatever lacks a vector of it."""
        embedder = self._tools.embedder
        if embedder is None:
            if spaces.active(self._store) is not None:
                self._swap(None)
            return
        space = spaces.prepared(self._store, embedder, self._tools.weights)
        self._kept.mend(space)
        (of,) = self._store.rows(
            "SELECT (SELECT count(*) FROM passages) - (SELECT count(*) FROM vectors WHERE space = ?)",
            space.id,
        )[0]
        done, began = 0, time.monotonic()
        while batch := spaces.missing(self._store, space, BATCH):
            self._check()
            left = (time.monotonic() - began) / done * (of - done) if done else None
            self._tell(Progress(stage="vectors", done=done, of=of, passages=done, seconds_left=left))
            texts = [searched(heading, text) for _, heading, text in batch]
            rows = await asyncio.to_thread(embedder.passages, texts)
            kept = await asyncio.to_thread(self._kept.keep, space, rows)
            spaces.attach(self._store, space, [passage for passage, _, _ in batch], kept)
            done += len(batch)
        self._embedded += done
        now = spaces.active(self._store)
        if now is None or now.id != space.id:
            self._swap(space)
        self._space = space

    def _swap(self, space: spaces.Space | None) -> None:
        spaces.swap(self._store, space)
        self._kept.tidy()

    def _blank(self, rows: Sequence[int]) -> None:
        if rows and self._space is None:
            self._space = spaces.active(self._store)
        if rows and self._space is not None:
            self._kept.blank(self._space, rows)

    def write(self, document: int, passages: Sequence[Passage], labels: Labels, main: str) -> None:
        """Put passages of a document that is being read on their shelves; ``main`` is its language."""
        self._check()
        languages = [language_of(one.text, main) for one in passages]
        space, embedder = self._space, self._tools.embedder
        kept: Sequence[object] = [None] * len(passages)
        if space is not None and embedder is not None:
            rows = embedder.passages([searched(one.heading, one.text) for one in passages])
            kept = self._kept.keep(space, rows)
            self._embedded += len(rows)
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
            embedded=self._embedded,
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
