"""Takes the brief's sources in: stored by digest, converted once, their tables looked at."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from bottega.catalog.receipt import sha256_of
from bottega.core.artifact import Artifact
from bottega.core.brief import Brief
from bottega.core.errors import InvalidBrief, InvalidPlan, NotFound
from bottega.core.plan import SourceRef
from bottega.engines.tabular import Column, profile, table_name
from bottega.pipelines.build import TABULAR, TableFacts
from bottega.pipelines.runner import Sources
from bottega.pipelines.workshop import Workshop
from bottega.retrieval.convert import convert
from bottega.retrieval.document import MEDIA_TYPE, Document, dump, load
from bottega.retrieval.expand import expand, names

CONVERTER = "1"  # of the conversion; raise it when converted documents change


async def take_in(brief: Brief, shop: Workshop, note: Callable[[str], None]) -> list[SourceRef]:
    """Store and convert every source of a brief.

    Raises:
        InvalidBrief: there is none; everything is written from sources.
        UnreadableSource: naming the file, what is wrong and what to do.
    """
    if not brief.sources:
        raise InvalidBrief(
            "there is no source to write from, and nothing is invented",
            where="sources",
            remedy="name files or a folder: bottega make ... --source docs/",
        )
    found: list[SourceRef] = []
    paths = await asyncio.to_thread(expand, [Path(source) for source in brief.sources])
    for path, name in names(paths).items():
        note(f"reading {name}")
        found.append(await _take(path, name, shop))
    return found


async def _take(path: Path, name: str, shop: Workshop) -> SourceRef:
    document = await convert(path, name=name, ask=shop.ask, store=shop.artifacts.put)
    original = await asyncio.to_thread(shop.artifacts.put_file, path, document.media_type)
    stored = shop.artifacts.put(dump(document), MEDIA_TYPE)
    shop.runs.keep_document(original.sha256, name, CONVERTER, stored.canonical().decode(), holder=shop.holder)
    return SourceRef(name=name, sha256=original.sha256, media_type=original.media_type, size=original.size)


async def bring(
    sources: Sequence[SourceRef], paths: Sequence[Path], shop: Workshop, note: Callable[[str], None]
) -> Sources:
    """A plan's sources, from the store or else from these files and folders, found by their digests.

    Raises:
        NotFound: a source is in neither; names it.
        UnreadableSource: a path cannot be read.
    """
    missing = [source for source in sources if not _held(source, shop)]
    if missing and paths:
        given = {await asyncio.to_thread(sha256_of, path): path for path in expand(paths)}
        for source in [source for source in missing if source.sha256 in given]:
            note(f"reading {source.name}")
            await _take(given[source.sha256], source.name, shop)
            missing.remove(source)
    if missing:
        wanted = ", ".join(f"'{source.name}' (SHA-256 {source.sha256[:12]}...)" for source in missing)
        raise NotFound(
            f"not here: {wanted}",
            where="sources",
            remedy="give them with --source FILE; a file counts by its bytes, not by its name",
        )
    return await asyncio.to_thread(at_hand, sources, shop)


def _held(source: SourceRef, shop: Workshop) -> bool:
    converted = shop.runs.document(source.sha256, source.name, CONVERTER, holder=shop.holder)
    return converted is not None and shop.artifacts.holds(source.sha256)


def at_hand(sources: Sequence[SourceRef], shop: Workshop) -> Sources:
    """A plan's sources from the store.

    Raises:
        InvalidPlan: when one was never taken in here.
    """
    originals: dict[str, Artifact] = {}
    documents: dict[str, Artifact] = {}
    loaded: list[Document] = []
    for source in sources:
        known = shop.runs.document(source.sha256, source.name, CONVERTER, holder=shop.holder)
        if known is None or not shop.artifacts.holds(source.sha256):
            raise InvalidPlan(
                f"source '{source.name}' is not in the store",
                where="field 'sources'",
                remedy="plan again from the brief, on this machine",
            )
        originals[source.name] = Artifact(
            sha256=source.sha256, media_type=source.media_type, size=source.size
        )
        documents[source.name] = Artifact.model_validate_json(known)
        loaded.append(load(shop.artifacts.locate(documents[source.name]).read_bytes(), where=source.name))
    return Sources(originals, documents, [passage for each in loaded for passage in each.passages])


def main_table(sources: Sequence[SourceRef], goal: str, shop: Workshop) -> TableFacts | None:
    """The first table with something to compare: a column of names and a column of numbers.

    The number column is the one whose name the goal mentions, else a price, else the first.
    """
    for source in sources:
        if source.media_type not in TABULAR:
            continue
        artifact = Artifact(sha256=source.sha256, media_type=source.media_type, size=source.size)
        columns = profile(shop.artifacts.locate(artifact).read_bytes(), source.media_type)
        texts = [column for column in columns if column.type == "text"]
        numbers = [column for column in columns if column.type == "number" and column.distinct > 1]
        if texts and numbers:
            return TableFacts(table_name(source.name), texts[0].name, _pick(numbers, goal).name)
    return None


def _pick(numbers: Sequence[Column], goal: str) -> Column:
    words = goal.lower()

    def rank(column: Column) -> tuple[bool, bool]:
        stem = column.name.lower().split("_")[0]
        return stem not in words, stem not in ("price", "prix", "preis", "precio", "prezzo", "cost")

    return min(numbers, key=rank)
