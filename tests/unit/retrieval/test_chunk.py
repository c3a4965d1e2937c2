"""The law of passages: verbatim, in one page, in order, covering the text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bottega.retrieval.chunk import MOST, MOST_ROW, Block, compose, count_words
from bottega.retrieval.document import PAGE_BREAK, Document, dump, load
from bottega.retrieval.sentences import sentence_spans

SHA = "0" * 64

texts = st.text(max_size=400) | st.lists(
    st.sampled_from(["one", "two.", "Three", "3.5", "quatre,", "fünf!", "x" * 60, "\n", "\f", "日本語"]),
    max_size=500,
).map(" ".join)
blocks = st.builds(
    Block, text=texts, kind=st.sampled_from(["heading", "paragraph", "row"]), level=st.integers(1, 6)
)
pages = st.lists(st.lists(blocks, max_size=6), min_size=1, max_size=4)


@given(pages)
@settings(max_examples=150, deadline=None)
def test_passages_stand_where_they_say(given_pages: list[list[Block]]) -> None:
    document = compose("a.md", SHA, "text/markdown", given_pages)
    text = document.text
    starts: list[int] = []
    place = 0
    for page in document.pages:
        starts.append(place)
        place += len(page.text) + len(PAGE_BREAK)
    last_end = 0
    for number, passage in enumerate(document.passages, start=1):
        assert text[passage.start : passage.end] == passage.text
        assert passage.id == f"a.md#{number}"
        assert passage.text.strip()
        assert passage.start >= last_end, "passages overlap or are out of order"
        assert not text[last_end : passage.start].strip(), "text between two passages is in none"
        assert PAGE_BREAK not in passage.text
        begins = starts[passage.page - 1]
        assert begins <= passage.start < passage.end <= begins + len(document.pages[passage.page - 1].text)
        last_end = passage.end
    assert not text[last_end:].strip()
    assert load(dump(document)) == document


@given(pages)
@settings(max_examples=60, deadline=None)
def test_no_passage_is_too_long(given_pages: list[list[Block]]) -> None:
    document = compose("a.md", SHA, "text/markdown", given_pages)
    for passage in document.passages:
        assert count_words(passage.text) <= MOST_ROW + MOST


@given(texts)
def test_sentences_cover_a_text(text: str) -> None:
    last = 0
    for start, end in sentence_spans(text):
        assert last <= start < end
        assert not text[last:start].strip()
        assert text[start:end] == text[start:end].strip()
        last = end
    assert not text[last:].strip()


def test_sentences_of_four_languages() -> None:
    text = (
        "Dr. Ames paid 3.50 EUR, i.e. a lot. It works! Am 3. Januar kam z. B. Frau Keller. Cela coûte 20. "
        "Vraiment ? ¿Cuánto dura? Sí."
    )
    assert [text[start:end] for start, end in sentence_spans(text)] == [
        "Dr. Ames paid 3.50 EUR, i.e. a lot.",
        "It works!",
        "Am 3. Januar kam z. B. Frau Keller.",
        "Cela coûte 20.",
        "Vraiment ?",
        "¿Cuánto dura?",
        "Sí.",
    ]


def words(count: int, word: str = "word") -> str:
    return " ".join([word] * count)


def made(*blocks: Block) -> Document:
    return compose("a.md", SHA, "text/markdown", [blocks])


def test_a_heading_begins_a_passage_and_names_it() -> None:
    document = made(
        Block("Guide", "heading", 1),
        Block(words(30)),
        Block("Care", "heading", 2),
        Block(words(30, "care")),
        Block("Other", "heading", 1),
        Block(words(30, "other")),
    )
    assert [passage.heading for passage in document.passages] == ["Guide", "Guide > Care", "Other"]
    assert document.passages[1].text.startswith("Care\n\ncare")


def test_rows_are_kept_whole() -> None:
    rows = [Block("; ".join(f"column{i}: value {i} of row {n}" for i in range(12)), "row") for n in range(20)]
    document = made(*rows)
    lines = [line for passage in document.passages for line in passage.text.split("\n")]
    assert lines == [row.text for row in rows]


def test_a_question_stays_with_its_answer() -> None:
    document = made(Block(words(90)), Block("How long does it last?"), Block("Two years."), Block(words(60)))
    holder = next(passage for passage in document.passages if "How long" in passage.text)
    assert "Two years." in holder.text


def test_invisible_characters_are_dropped() -> None:
    document = made(Block("Ig\u200bnore\x00 the\u00ad  rest\r\nof it\ufeff"))
    assert document.text == "Ignore the rest\nof it"
