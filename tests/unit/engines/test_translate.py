"""What of a document is translated, and what has to come over."""

import json

import pytest

from bottega.core.errors import EngineFailed
from bottega.engines.faithful import Masked, french_numbers, is_faithful, pieces_of, rejoined
from bottega.engines.prose import prose_of

MARKDOWN = """# Title here

A first line with **bold** words
and a second one.

> Quoted text.\x20\x20
> After a hard break.

- item one
  * nested item

| Head | Other |
|:-----|------:|
| cell | 1,200 |
| same | same |

```
code stays
```

    indented code stays

<div>html stays</div>
"""


def shout(prose: list[str]) -> list[str]:
    return [text.upper() for text in prose]


def test_markdown_form_stays_and_prose_changes() -> None:
    prose = prose_of(MARKDOWN, "text/markdown", (), ())
    assert "code stays" not in " ".join(prose.pieces)
    changed = prose.put(shout(prose.pieces))
    assert changed == (
        MARKDOWN.replace("A first line with **bold** words\nand a second one.", "X")
        .upper()
        .replace("X\n", "A FIRST LINE WITH **BOLD** WORDS AND A SECOND ONE.\n")
        .replace("CODE STAYS", "code stays")
        .replace("INDENTED code", "indented code")
        .replace("<DIV>HTML STAYS</DIV>", "<div>html stays</div>")
    )


def test_unchanged_prose_gives_the_document_back() -> None:
    text = "# A\n\n* b `c` [d](e)\n\n| f | g\\|h |\n|---|---|\n| i | j |\n\nSetext\n------\n"
    prose = prose_of(text, "text/markdown", (), ())
    assert prose.put(prose.pieces) == text


def test_json_translates_values_under_the_asked_keys_only() -> None:
    document = json.dumps(
        {"title": "Warm light", "icon": "lamp", "n": 3, "items": [{"q": "Why so?", "url": "https://a.b/c"}]}
    )
    everything = prose_of(document, "application/json", (), ("icon",))
    assert everything.pieces == ["Warm light", "Why so?"]
    only = prose_of(document, "application/json", ("items",), ("icon",))
    assert json.loads(only.put(shout(only.pieces))) == {
        "title": "Warm light",
        "icon": "lamp",
        "n": 3,
        "items": [{"q": "WHY SO?", "url": "https://a.b/c"}],
    }


def test_plain_text_keeps_its_lines_and_indentation() -> None:
    prose = prose_of("Hello you.\n\n  More words.\n42\n", "text/plain", (), ())
    assert prose.put(shout(prose.pieces)) == "HELLO YOU.\n\n  MORE WORDS.\n42\n"


def test_broken_json_is_named() -> None:
    with pytest.raises(EngineFailed, match="not JSON"):
        prose_of("{", "application/json", (), ())


@pytest.mark.parametrize(
    ("source", "translation", "faithful"),
    [
        ("It gives 1,200 lm.", "Il donne 1 200 lm.", True),
        ("It gives 1,200 lm.", "Il donne 1,200 lm.", False),
        ("It weighs 1.7 kg.", "Il pèse 1,7 kg.", True),
        ("It weighs 1.7 kg.", "Il pèse 17 kg.", False),
        ("From 40 °C to 40 °C.", "À 40 °C.", False),
        ("In **two** years", "En **deux** ans", True),
        ("In **two** years", "En deux ans", False),
        ("Halo is here", "Auréole est là", False),
        ("Made *quietly* here", "Fait *quietly* ici", False),
        ("Yes", " ", False),
    ],
)
def test_what_counts_as_faithful(source: str, translation: str, faithful: bool) -> None:
    assert is_faithful(Masked.of(source), translation, ("Halo",)) is faithful


def test_code_and_addresses_are_hidden_and_come_back() -> None:
    sentence = "Run `npm start` or see [the manual](https://example.com/a)."
    masked = Masked.of(sentence)
    assert masked.text == "Run XA or see [the manual](XB)."
    assert masked.unmasked(masked.text) == sentence
    assert not is_faithful(masked, "Lancez XA, voir [le manuel](XA).", ())


def test_pieces_keep_numbers_marks_and_names() -> None:
    masked = Masked.of("Halo weighs **1,299.5 kg** with `x` on the 2nd day")
    said = {text: text.upper() for text, fixed in pieces_of(masked, ("Halo",)) if not fixed}
    assert rejoined(masked, said, ("Halo",)) == "Halo wEIGHS **1\u202f299,5 kG** wITH `x` oN THE 2e dAY"


def test_numbers_become_french_but_dates_and_versions_stay() -> None:
    assert french_numbers("1,299.50 and 45.5") == "1\u202f299,50 and 45,5"
    assert (
        french_numbers("2026-06-01, v1.7.3, 10:30, 192.168.0.1") == "2026-06-01, v1.7.3, 10:30, 192.168.0.1"
    )
