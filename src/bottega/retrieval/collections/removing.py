"""Taking documents out: at once for whoever searches, then out of every file."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bottega.core.errors import InvalidValue, NotFound
from bottega.retrieval.collections.files import MEMBER
from bottega.retrieval.collections.lock import collection_lock
from bottega.retrieval.collections.shelves import catch_up
from bottega.retrieval.collections.spaces import Kept
from bottega.retrieval.collections.store import DocumentRow, Labels, Store

if TYPE_CHECKING:
    from bottega.retrieval.collections.server import Server


def remove(store: Store, names: Iterable[str], allowed: Labels | None = None) -> Sequence[DocumentRow]:
    """Take documents out by name or place, with what stands in them; no search finds them when this returns.

    It waits for nobody: who is indexing just now does not bring them back. With ``allowed``, documents under other labels
    are as if they were not there. `settle` takes them out of the files.

    Raises:
        NotFound: there is no document of this name; nothing is removed then.
        InvalidValue: several have it.
    """

    def seen(where: str, *values: str) -> list[DocumentRow]:
        found = store.documents(where, *values)
        return [
            each for each in found if allowed is None or (each.labels <= allowed and each.state == "indexed")
        ]

    def chosen() -> list[DocumentRow]:
        gone: list[DocumentRow] = []
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
            gone += [*found, *inside(store, found[0].place)]
        return gone

    return store.withdraw(chosen)


def inside(store: Store, place: str) -> list[DocumentRow]:
    """The documents that stand in the archive at this place."""
    first = place + MEMBER
    after = first[:-1] + chr(ord(first[-1]) + 1)
    return store.documents(  # a range, because only that is looked up in the index of places
        "place >= ? AND place < ?", first, after
    )


def erase(store: Store, kept: Kept) -> None:
    """Take out of the files what is not in the tables any more; the caller holds this host's lock on the collection."""
    kept.blank()
    catch_up(store, store.folder / "words", erase=True)


def settle(store: Store, kept: Kept, server: "Server | None" = None) -> bool:
    """Take what was removed out of the files, unless another process is at work: that one does.

    Whoever had the lock calls this after giving it back, because a removal may have come in between.
    """
    while at := store.withdrawn():
        with collection_lock(store.folder, server) as held:
            if held:
                erase(store, kept)
                store.settled(at)
                continue
        if (
            server is not None
        ):  # the writer is on another host, perhaps: these are the word indexes of this one
            with collection_lock(store.folder) as here:
                if here:
                    erase(store, kept)
        return False
    return True
