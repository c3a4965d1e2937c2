"""Presentations and e-mail as sources."""

import io
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from bottega.core.errors import UnreadableSource
from bottega.retrieval.convert import convert

A = "http://schemas.openxmlformats.org/drawingml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def shape(kind: str, *paragraphs: str) -> str:
    said = "".join(f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>" for text in paragraphs)
    return (
        f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr><p:txBody>{said}</p:txBody></p:sp>'
    )


def table(*rows: tuple[str, ...]) -> str:
    drawn = "".join(
        "<a:tr>" + "".join(f"<a:tc><a:txBody><a:p><a:r><a:t>{cell}</a:t></a:r></a:p></a:txBody></a:tc>" for cell in row) + "</a:tr>"
        for row in rows
    )  # fmt: skip
    return f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl>{drawn}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"


def presentation(slides: list[str], notes: dict[int, str], hidden: set[int], entity: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:

        def relations(path: str, targets: dict[str, str]) -> None:
            each = "".join(f'<Relationship Id="{key}" Target="{value}"/>' for key, value in targets.items())
            archive.writestr(path, f'<Relationships xmlns="{RELATIONS}">{each}</Relationships>')

        ids = "".join(f'<p:sldId r:id="rId{n}"/>' for n in range(len(slides)))
        archive.writestr(
            "ppt/presentation.xml",
            f'<p:presentation xmlns:p="{P}" xmlns:r="{R}"><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>',
        )
        relations(
            "ppt/_rels/presentation.xml.rels", {f"rId{n}": f"slides/slide{n}.xml" for n in range(len(slides))}
        )
        for n, content in enumerate(slides):
            shown = ' show="0"' if n in hidden else ""
            archive.writestr(
                f"ppt/slides/slide{n}.xml",
                f'{entity}<p:sld xmlns:p="{P}" xmlns:a="{A}"{shown}><p:cSld><p:spTree>{content}</p:spTree></p:cSld></p:sld>',
            )
            if n in notes:
                relations(f"ppt/slides/_rels/slide{n}.xml.rels", {"rId1": f"../notesSlides/notes{n}.xml"})
                archive.writestr(
                    f"ppt/notesSlides/notes{n}.xml",
                    f'<p:notes xmlns:p="{P}" xmlns:a="{A}"><p:cSld><p:spTree>{shape("body", notes[n])}{shape("sldNum", "7")}'
                    "</p:spTree></p:cSld></p:notes>",
                )
    return out.getvalue()


async def test_slides_are_pages_with_title_table_and_notes(tmp_path: Path) -> None:
    slides = [
        shape("body", "It boils fast.", "It keeps warm.")
        + shape("title", "The kettle")
        + shape("ftr", "Tarnwick Ltd"),
        shape("title", "Never shown"),
        shape("title", "Prices") + table(("Model", "Price", "Mass"), ("Solo", "79 EUR", "0.82 kg")),
    ]
    path = tmp_path / "talk.pptx"
    path.write_bytes(presentation(slides, {0: "Wait for laughter."}, {1}))
    document = await convert(path)
    assert [page.text for page in document.pages] == [
        "The kettle\n\nIt boils fast.\nIt keeps warm.\n\nNotes: Wait for laughter.",
        "Prices\n\nModel: Solo; Price: 79 EUR; Mass: 0.82 kg",
    ]
    assert document.passages[0].heading == "The kettle" and document.passages[-1].page == 2
    assert document.notes == ("1 hidden slides were left out",)


async def test_a_presentation_that_declares_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "talk.pptx"
    path.write_bytes(presentation([shape("title", "x")], {}, set(), '<!DOCTYPE p [<!ENTITY a "b">]>'))
    with pytest.raises(UnreadableSource, match="declares a document type"):
        await convert(path)


def message() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"] = "Ada <ada@example.org>", "bob@example.org"
    made["Subject"] = "Grüße und Preise"
    return made


async def test_a_message_reads_as_people_read_it(tmp_path: Path) -> None:
    made = message()
    made.set_content("Dear Bob,\n\nthe Solo costs 79 EUR.\n")
    made.add_alternative("<p>the Solo costs <b>79 EUR</b></p>", subtype="html")
    made.add_attachment(b"a,b\n", maintype="text", subtype="csv", filename="prices.csv")
    path = tmp_path / "a.eml"
    path.write_bytes(bytes(made))
    document = await convert(path)
    assert document.media_type == "message/rfc822"
    assert document.text == (
        "Grüße und Preise\n\nFrom: Ada <ada@example.org>\nTo: bob@example.org\n\nDear Bob,\n\nthe Solo costs 79 EUR."
    )
    assert document.notes == ("attached: prices.csv",)


async def test_a_message_in_html_alone_and_an_old_encoding(tmp_path: Path) -> None:
    made = message()
    made.set_content(
        "<h2>Prix</h2><p>la théière coûte 19 €</p>", subtype="html", charset="cp1252", cte="8bit"
    )
    path = tmp_path / "a.eml"
    path.write_bytes(bytes(made))
    document = await convert(path)
    assert document.text.endswith("Prix\n\nla théière coûte 19 €")
