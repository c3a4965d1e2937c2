"""Others search, index and remove while vectors are made or a document is read, and all of it is right at the end."""

import asyncio
import io
import threading
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from tests.collecting import Hashed, Shelved, outcomes

from bottega.core.errors import Cancelled, NotFound
from bottega.retrieval.collections.indexing import Tools
from bottega.retrieval.collections.lock import collection_lock
from bottega.retrieval.collections.report import Progress
from bottega.retrieval.collections.store import Store

PARTS = [f"# Part {n}\n\n" + f"The heron number{n} waits by the river{n % 7}. " * 20 for n in range(100)]
LONG = "\n\n".join(PARTS)
MISSPELT = "the pangolin is armoured"


def ranking(shelved: Shelved) -> list[tuple[str, float]]:
    hits = shelved.search("river3 heron number12", method="vectors", top=30)
    return [(hit.passage.heading, round(hit.score, 4)) for hit in hits]


def rows(shelved: Shelved, query: str) -> list[tuple[object, ...]]:
    with closing(Store(shelved.place, shelved.server)) as store:
        return [tuple(row) for row in store.rows(query)]


def holds(shelved: Shelved, *secrets: bytes) -> list[Path]:
    """Files of a collection in which one of these stands."""
    files = [path for path in shelved.place.rglob("*") if path.is_file()]
    return [path for path in files if any(secret in path.read_bytes() for secret in secrets)]


def test_the_old_vectors_answer_until_all_new_ones_are_there(either: Shelved, tmp_path: Path) -> None:
    either.write("a.md", LONG)
    either.write("b.md", MISSPELT)
    either.write("c.md", "# Kettles\n\nThe kettle is green and boils at number12.")
    either.index()
    before, seen = ranking(either), list[bool]()

    def meanwhile() -> None:
        if not seen:  # the first of two batches
            either.add(either.write("d.md", "# Teapots\n\nThe teapot by the river3 keeps warm."))
            assert either.remove("files/b.md") == ["files/b.md"]
        else:
            either.remove("files/c.md")
        parts = [each for each in ranking(either) if each[0].startswith("Part")]
        seen.append(parts == [each for each in before if each[0].startswith("Part")][: len(parts)] != [])
        assert either.search("teapot keeps warm", method="vectors")[0].passage.heading == "Teapots"

    other = Hashed("other", meanwhile)
    either.change(other)
    assert len(seen) == 2 and all(seen)
    either.embedder = Hashed("other")
    alone = Shelved(tmp_path / "alone", either.embedder)
    for name in ("a.md", "d.md"):
        alone.write(name, (either.files / name).read_bytes())
    alone.index()
    assert ranking(either) == ranking(alone) != before
    assert rows(either, "SELECT count(*), count(DISTINCT space) FROM vectors") == [(101, 1)]
    assert rows(either, "SELECT count(*) FROM spaces") == [(1,)]
    if either.server is None:
        gone = [Hashed(name).query(f"{MISSPELT}").tobytes() for name in ("hashed", "other")]
        assert not holds(either, b"pangolin", *gone)


def test_a_document_taken_out_while_it_is_embedded_anew_gets_no_new_vector(shelved: Shelved) -> None:
    shelved.write("a.md", MISSPELT)
    shelved.write("b.md", "The kettle is green.")
    shelved.index()

    def meanwhile() -> None:
        if shelved.names("pangolin"):
            shelved.remove("files/a.md")

    shelved.change(Hashed("other", meanwhile))
    shelved.embedder = Hashed("other")
    assert [hit.document.name for hit in shelved.search("pangolin", method="vectors")] == ["files/b.md"]
    assert not holds(shelved, Hashed("other").query(MISSPELT).tobytes(), b"pangolin")


def test_the_later_change_of_embedder_counts(either: Shelved) -> None:
    either.write("a.md", LONG)
    either.index()
    third = Hashed("third")
    later = threading.Thread(target=either.change, args=(third,))

    def meanwhile() -> None:
        if not later.is_alive():
            later.start()
            while not [row for row in rows(either, "SELECT embedder FROM spaces") if row == ("third",)]:
                pass

    with pytest.raises(Cancelled, match="another embedder was asked for"):
        either.change(Hashed("other", meanwhile))
    later.join()
    assert rows(either, "SELECT embedder FROM spaces") == [("third",)] and third.embedded == 100


def test_two_who_make_the_same_vectors_make_them_once(either: Shelved) -> None:
    either.write("a.md", LONG)
    either.index()
    second = Hashed("other")
    another = threading.Thread(target=either.change, args=(second,))
    first = Hashed("other", lambda: None if another.is_alive() else another.start())
    either.change(first)
    another.join()
    assert (first.embedded, second.embedded) == (100, 0)


@pytest.mark.parametrize("again", [False, True])
def test_what_is_taken_out_while_it_is_read_does_not_come_back(either: Shelved, again: bool) -> None:
    """Of the same document a later state is read, or the call has not come to it yet."""
    either.write("a.md", MISSPELT)
    either.write("z.md", "The kettle is green.")
    either.index()
    either.write("a.md" if again else "b.md", f"{MISSPELT} and shy" if again else "The teapot is blue.")
    if not again:
        either.write("z.md", f"{MISSPELT} and shy")
    name = "files/a.md" if again else "files/z.md"
    assert isinstance(either.embedder, Hashed)
    taken: list[str] = []
    nobody = frozenset[str]()

    def meanwhile() -> None:
        if not taken:
            with closing(either.open()) as reader:
                reader.memory.keep("key", "{}", nobody, reader.last_change(nobody))
                assert reader.memory.answer("key") == "{}"
                taken.extend(either.remove(name))
                assert reader.memory.answer("key") == ""
            assert name not in [hit.document.name for hit in either.search("kettle pangolin")]

    either.embedder.meanwhile = meanwhile
    report = either.add(either.files)
    assert taken == [name] and outcomes(report)[name] == "removed"
    assert name not in [hit.document.name for hit in either.search("kettle pangolin shy", method="vectors")]
    assert either.names("shy") == [] and rows(either, "SELECT * FROM withdrawn") == []
    if either.server is None:
        vectors = [Hashed().query(text).tobytes() for text in (MISSPELT, f"{MISSPELT} and shy")]
        assert not holds(either, *([b"pangolin", *vectors] if again else [b"shy", b"boils"]))
    assert outcomes(either.add(either.files))[name] == "indexed", "a later call may bring it back"


def test_an_archive_taken_out_while_its_members_are_read_is_gone_with_all(either: Shelved) -> None:
    def packed(word: str) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            for n in range(3):
                file.writestr(f"{n}.md", f"The heron{n} is {word}.")
        return out.getvalue()

    either.write("a.zip", packed("grey"))
    either.index()
    either.write("a.zip", packed("white"))
    assert isinstance(either.embedder, Hashed)

    def meanwhile() -> None:
        if (
            either.names("heron0")
            and len(rows(either, "SELECT 1 FROM documents WHERE state = 'partial'")) == 1
        ):
            either.remove("files/a.zip")

    either.embedder.meanwhile = meanwhile
    either.add(either.files)
    assert either.names("grey") == either.names("white") == []
    assert rows(either, "SELECT count(*) FROM documents") == [(0,)]


def test_a_removal_beside_a_long_reading_is_erased_from_the_files_before_it_ends(shelved: Shelved) -> None:
    shelved.write("a.md", MISSPELT)
    shelved.index()
    shelved.write("b.md", LONG)
    found: list[list[Path]] = []
    secret = Hashed().query(MISSPELT).tobytes()

    def meanwhile() -> None:
        if not found:
            shelved.remove("files/a.md")
        found.append(holds(shelved, secret, b"pangolin"))

    assert isinstance(shelved.embedder, Hashed)
    shelved.embedder.meanwhile = meanwhile
    shelved.add(shelved.files)
    assert found[0] and not found[1], "the second batch comes after the first was written"


def test_who_lost_the_lock_to_a_reader_is_helped_by_the_reader(shelved: Shelved) -> None:
    shelved.write("a.md", MISSPELT)
    shelved.index()
    with collection_lock(shelved.place) as held:  # somebody who is no writer and ends without a look
        assert held
        shelved.remove("files/a.md")
        assert shelved.names("pangolin") == []
    assert shelved.names("pangolin") == []  # this reader finds the lock free
    assert not holds(shelved, b"pangolin", Hashed().query(MISSPELT).tobytes())


def test_another_call_waits_for_its_turn_and_may_be_stopped(either: Shelved) -> None:
    told: list[str] = []
    stop = threading.Event()

    def heard(progress: Progress) -> None:
        told.append(progress.stage)
        stop.set()

    either.write("a.md", "The kettle is green.")
    either.index()
    indexer = either.indexer(Tools(embedder=either.embedder, weights="1"), heard, stop)
    with (
        collection_lock(either.place, either.server) as held,
        pytest.raises(Cancelled, match="another process"),
    ):
        assert held
        asyncio.run(indexer.index([either.files]))
    assert told == ["waiting"]
    indexer.close()
    indexer = either.indexer(Tools(embedder=either.embedder, weights="1"))
    assert asyncio.run(indexer.index([either.files])).counts == {"unchanged": 1}
    indexer.close()


def test_a_collection_deleted_meanwhile_is_not_written_to(either: Shelved) -> None:
    either.write("a.md", LONG)
    either.index()

    def meanwhile() -> None:
        if either.server:
            either.server.drop("collection")
        else:
            for path in either.place.rglob("*"):
                if path.is_file():
                    path.unlink()
        either.embedder = Hashed()
        either.write("a.md", "The kettle is green.")
        either.add(either.files)

    with pytest.raises(NotFound, match="deleted meanwhile"):
        either.change(Hashed("other", meanwhile))
    assert rows(either, "SELECT embedder FROM spaces") == [("hashed",)] and either.names("green")


def test_a_removal_blanks_no_row_of_others_while_there_are_two_files(shelved: Shelved) -> None:
    """The rows of a document have other numbers in the file in the making: there they may be somebody else's."""
    shelved.write("a.md", MISSPELT)
    shelved.write("b.md", "The kettle is green.")
    shelved.index()
    shelved.write("a.md", f"{MISSPELT} and shy")
    shelved.index()
    shelved.write("c.md", LONG)
    shelved.index()
    batches: list[None] = []

    def meanwhile() -> None:
        batches.append(None)
        if len(batches) > 1:
            raise KeyError("it ends here")

    with pytest.raises(KeyError):
        shelved.change(Hashed("other", meanwhile))
    before = [hit.score for hit in shelved.search("The kettle is green.", method="vectors", top=1)]
    shelved.remove("files/a.md")
    assert [hit.score for hit in shelved.search("The kettle is green.", method="vectors", top=1)] == before
    for name in ("hashed", "other"):
        assert not holds(shelved, Hashed(name).query(f"{MISSPELT} and shy").tobytes())


def test_lost_vectors_that_are_made_again_are_seen_by_who_searched_meanwhile(shelved: Shelved) -> None:
    shelved.write("a.md", "The kettle is green.")
    shelved.index()
    next((shelved.place / "vectors").iterdir()).write_bytes(b"")
    with closing(shelved.open()) as reader:
        seen: list[int] = []

        def meanwhile() -> None:
            seen.append(len(reader.search("kettle", method="vectors")))

        assert isinstance(shelved.embedder, Hashed)
        shelved.embedder.meanwhile = meanwhile
        shelved.add(shelved.files)
        assert seen == [0] and len(reader.search("kettle", method="vectors")) == 1
