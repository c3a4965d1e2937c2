"""What the language tasks do around a model: cut, hold against the text, refuse."""

from typing import Any

import pytest
from pydantic import ValidationError

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench
from bottega.engines.chat import close_schema
from bottega.retrieval.tasks.classify import Classify
from bottega.retrieval.tasks.extract import ExtractParams, Placed
from bottega.retrieval.tasks.rewrite import Rewrite, RewriteParams, fault
from bottega.retrieval.tasks.summarise import Summarise, held
from bottega.retrieval.tasks.writing import prose_spans, windows

TEXT = """# Care

Rinse the kettle once a week. Descale it
every 30 days with citric acid.

- The **filter** comes out
  by hand.
| a | b |
"""
LETTER = "I am Maeve Doyle. Order 1006 was 1.299,50 EUR on 4 May."


def test_sentences_go_over_line_ends_and_stand_in_the_text() -> None:
    said = [" ".join(TEXT[start:end].split()) for start, end in prose_spans(TEXT)]
    assert said == [
        "Rinse the kettle once a week.",
        "Descale it every 30 days with citric acid.",
        "- The **filter** comes out by hand.",
    ]


def test_windows_cover_all_sentences_and_keep_their_places() -> None:
    text = "The heron waits by the river. " * 50
    pieces = list(windows(text, 100))
    assert len(pieces) > 2
    assert all(text[start : start + len(piece)] == piece for start, piece in pieces)
    assert sum(piece.count("heron") for _, piece in pieces) == 50


def test_a_sentence_that_the_text_does_not_bear_out_is_dropped() -> None:
    said = "Descale it every 30 days. Descale it every 60 days. Elephants never forget anything at all."
    kept, dropped = held(TEXT, said, 3)
    assert [one["text"] for one in kept] == ["Descale it every 30 days."]
    assert "60 days" in dropped[0]["reason"] and "support" in dropped[1]["reason"]
    quote = kept[0]["quotes"][0]
    assert "30 days" in TEXT[quote["start"] : quote["end"]]


def placed(value: Any, properties: dict[str, Any]) -> tuple[Any, Placed]:
    found = Placed(LETTER, close_schema({"type": "object", "properties": properties}))
    return found.keep(value), found


def test_values_have_their_place_or_are_refused() -> None:
    text = {"type": "string"}
    value, found = placed(
        {"name": "maeve  doyle", "order": "1006", "price": 1299.5, "town": "Cork", "mail": "", "late": "yes", "who": ["Doyle", "Kelly"]},
        {"name": text, "order": text, "price": {"type": "number"}, "town": text, "mail": text, "late": {"enum": ["yes", "no"]},
         "who": {"type": "array", "items": text}},
    )  # fmt: skip
    assert value == {
        "name": "Maeve Doyle", "order": "1006", "price": 1299.5, "town": None, "mail": None, "late": "yes", "who": ["Doyle"],
    }  # fmt: skip
    assert all(LETTER[span["start"] : span["end"]] == span["text"] for span in found.spans.values())
    assert found.spans["/price"]["text"] == "1.299,50"
    assert [one["value"] for one in found.refused] == ["Cork", "Kelly"] and found.derived == ["/late"]


def test_an_item_of_which_nothing_stands_there_is_left_out() -> None:
    one = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "kind": {"enum": ["person", "place"]}},
    }
    items = [
        {"name": "Cork", "kind": "place"},
        {"name": "Doyle", "kind": "person"},
        {"name": "doyle", "kind": "person"},
    ]
    value, found = placed({"all": items}, {"all": {"type": "array", "items": one}})
    assert value == {"all": [{"name": "Doyle", "kind": "person"}]}
    assert list(found.spans) == ["/all/0/name"] and found.derived == ["/all/0/kind"]


def test_a_part_of_a_number_or_a_word_is_no_place() -> None:
    number, text = {"type": "number"}, {"type": "string"}
    value, _ = placed(
        {"a": 100, "b": 299, "c": "May", "d": "Mae"}, {"a": number, "b": number, "c": text, "d": text}
    )
    assert value == {"a": None, "b": None, "c": "May", "d": None}


def test_a_rewrite_is_held_to_its_facts_and_its_length() -> None:
    plain = RewriteParams(level="plain")
    old = "The warranty that Tarnwick gives shall extend over a period of 24 months."
    assert fault(old, "The warranty from Tarnwick lasts 24 months.", plain) == ""
    assert fault(old, "The warranty from Tarnwick lasts long.", plain) == "it lost 24 months"
    assert fault(old, "The warranty from Tarnwick lasts 24 months in Cork.", plain) == "it added Cork"
    assert "words in place of" in fault(old, f"Tarnwick: 24 months. {'It is long. ' * 12}", plain)
    assert "3 words in place of" in fault(
        f"{old} It covers every part of it, cables too.", "Tarnwick: 24 months.", plain
    )
    assert fault(old, old, plain) == "nothing changed"


async def refused(engine: Any, bench: Bench, params: dict[str, Any], *texts: str) -> str:
    parts = tuple(Part(port="text", name="a.txt", text=text) for text in texts)
    with pytest.raises(EngineFailed) as caught:
        [output async for output in engine.generate(Request(engine="x", parts=parts, params=params), bench)]
    return caught.value.message


async def test_what_cannot_be_done_is_refused_before_weights_are_read(bench: Bench) -> None:
    labels = [{"name": "a"}, {"name": "a"}]
    assert "same name" in await refused(Classify(), bench, {"labels": labels}, "text")
    assert "nothing shall change" in await refused(Rewrite(), bench, {}, "text")
    assert "no sentence" in await refused(Summarise(), bench, {}, "# Care\n")
    for wrong in (
        {},
        {"entities": ["person"], "json_schema": {"type": "object"}},
        {"json_schema": {"type": "string"}},
    ):
        with pytest.raises(ValidationError):
            ExtractParams.model_validate(wrong)


@pytest.mark.weights("potion-base-8m")
async def test_labels_by_the_nearest_description_and_none_in_doubt(bench: Bench) -> None:
    labels = [
        {"name": "delivery", "description": "shipping, parcels, delays"},
        {"name": "payment", "examples": ["Can I pay by card?", "Where is my invoice?"]},
    ]
    texts = ("My parcel has not arrived yet", "I need an invoice", "zebra")
    parts = tuple(Part(port="text", name=text, text=text) for text in texts)
    params = {"labels": labels, "min_margin": 0.3}
    request = Request(engine="classify", model="potion-base-8m", parts=parts, params=params)
    (made,) = [out async for out in Classify().generate(request, bench) if isinstance(out, Finished)]
    import json

    items = json.loads(made.data or b"")["items"]
    assert [item["label"] for item in items] == ["delivery", "payment", None]
    assert items[2]["abstained"] and sum(items[0]["shares"].values()) == pytest.approx(1, abs=1e-3)
