"""Archives, mailboxes and messages: what stands in them is indexed under their name, within bounds."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from tests.collecting import Shelved, outcomes

from bottega.retrieval.collections.indexing import Tools
from bottega.retrieval.collections.unpack import Bounds, Member


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    return out.getvalue()


def message(subject: str, text: str, **attached: bytes) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "ada@example.org", "bob@example.org", subject
    made["Date"] = "Thu, 26 Nov 2026 10:00:00 +0000"
    made.set_content(text)
    for name, data in attached.items():
        made.add_attachment(
            data, maintype="application", subtype="octet-stream", filename=name.replace("__", ".")
        )
    return made


def test_members_are_documents_and_an_unchanged_archive_is_not_opened(shelved: Shelved) -> None:
    inner = zipped(deep__md=b"The heron waits.")
    path = shelved.write("a.zip", zipped(one__md=b"The kettle is green.", b__zip=inner, c__exe=b"MZ\x00\x00"))
    assert outcomes(shelved.index()) == {
        "files/a.zip/one.md": "indexed",
        "files/a.zip/b.zip/deep.md": "indexed",
        "files/a.zip/b.zip": "indexed",
        "files/a.zip/c.exe": "skipped",
        "files/a.zip": "indexed",
    }
    assert shelved.names("heron") == ["files/a.zip/b.zip/deep.md"]
    assert outcomes(shelved.index()) == {"files/a.zip": "unchanged"}
    shelved.write("a.zip", zipped(one__md=b"The kettle is green.", two__md=b"The teapot is green."))
    found = outcomes(shelved.index())
    assert found["files/a.zip/one.md"] == "unchanged" and found["files/a.zip/two.md"] == "indexed"
    assert found["files/a.zip/b.zip/deep.md"] == "removed"
    path.rename(path.with_name("z.zip"))
    shelved.index()
    assert shelved.names("green") == ["files/z.zip/one.md", "files/z.zip/two.md"]
    shelved.remove("files/z.zip")
    assert shelved.names("green") == []


def test_a_tar_that_is_packed(shelved: Shelved) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("../../etc/notes.md")
        info.size = 16
        archive.addfile(info, io.BytesIO(b"The heron waits."))
        link = tarfile.TarInfo("link.md")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    shelved.write("a.tar.gz", gzip.compress(out.getvalue()))
    shelved.index()
    assert shelved.names("heron") == ["files/a.tar.gz/a.tar/etc/notes.md"]


def test_links_in_a_tar_are_followed_within_it(shelved: Shelved) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a.md")
        info.size = 15
        archive.addfile(info, io.BytesIO(b"The heron waits"))
        links = (("hard.md", tarfile.LNKTYPE, "a.md"), ("soft.md", tarfile.SYMTYPE, "a.md"),
                 ("out.md", tarfile.SYMTYPE, "../secret.md"), ("loop.md", tarfile.SYMTYPE, "loop.md"))  # fmt: skip
        for name, kind, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    shelved.write("all.tar", out.getvalue())
    report = shelved.index()
    found = outcomes(report)
    assert found == {"files/all.tar": "indexed"} | {
        f"files/all.tar/{name}": outcome
        for name, outcome in (("a.md", "indexed"), ("hard.md", "indexed"), ("soft.md", "indexed"),
                              ("out.md", "skipped"), ("loop.md", "skipped"))
    }  # fmt: skip
    assert any("which is not in the archive" in told.reason for told in report.documents)


def test_mail_with_attachments_and_a_forwarded_message(shelved: Shelved) -> None:
    outer = message("Prices", "The new prices are attached.", prices__csv=b"model,price\nSolo,79\nHome,119\n")
    outer.add_attachment(message("Old", "The heron waits.", plan__md=b"# Plan\n\nThe otter swims."))
    shelved.write("a.eml", bytes(outer))
    found = outcomes(shelved.index())
    assert found["files/a.eml"] == found["files/a.eml/prices.csv"] == "indexed"
    assert shelved.names("prices attached")[0] == "files/a.eml"
    assert shelved.names("Solo") == ["files/a.eml/prices.csv"]
    assert [name.rpartition("/")[2] for name in shelved.names("otter")] == ["plan.md"]
    hit = shelved.search("attached", method="words")[0]
    assert hit.passage.heading == "Prices" and "From: ada@example.org" in hit.passage.text
    shelved.remove("files/a.eml")
    assert shelved.names("otter") == []


def test_a_mailbox(shelved: Shelved) -> None:
    box = b"".join(
        b"From ada@example.org Thu Nov 26 10:00:00 2026\n" + bytes(message(subject, text)) + b"\n"
        for subject, text in (("Herons", "The heron waits."), ("Otters", "The otter swims."))
    )
    shelved.write("all.mbox", box)
    shelved.index()
    assert shelved.names("otter") == ["files/all.mbox/0002 Otters.eml"]


def test_an_archive_too_deep_or_too_large_is_refused_and_the_rest_is_indexed(shelved: Shelved) -> None:
    data = b"The heron waits."
    for _ in range(7):
        data = zipped(**{"inner.zip" if data[:2] == b"PK" else "inner.md": data})
    shelved.write("deep.zip", data)
    shelved.write("bomb.zip", zipped(zeros__txt=bytes(300_000_000)))
    shelved.write("good.md", "The heron waits.")
    report = shelved.index()
    reasons = {told.name: told.reason for told in report.documents if told.outcome == "skipped"}
    assert "unpacks to more than" in reasons["files/bomb.zip"]
    assert any("archives, one in the other" in reason for reason in reasons.values())
    assert shelved.names("heron") == ["files/good.md"]


def test_an_archive_that_holds_itself_ends(shelved: Shelved, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped(one__md=b"The heron waits.")

    def members(*given: object) -> Iterator[Member]:
        """Nobody can write an archive's own SHA-256 into it, so its member is made equal here."""
        return iter([Member("one.md", b"The heron waits."), Member("me.zip", data)])

    monkeypatch.setattr("bottega.retrieval.collections.indexing.members", members)
    shelved.write("me.zip", data)
    report = shelved.index()
    reasons = {told.name: told.reason for told in report.documents if told.outcome == "skipped"}
    assert reasons == {"files/me.zip/me.zip": "the archive holds itself"}
    assert shelved.names("heron") == ["files/me.zip/one.md"]


def test_bounds_count_members(shelved: Shelved) -> None:
    shelved.write("a.zip", zipped(**{f"{n}.md": b"The heron waits." for n in range(5)}))
    report = shelved.index(tools=Tools(bounds=Bounds(members=3)))
    assert outcomes(report)["files/a.zip"] == "skipped"
    assert len(shelved.names("heron")) == 3  # what came before the bound stays
