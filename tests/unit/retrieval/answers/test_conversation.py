"""Follow-up questions are completed in the conversation's own words; what came before is summed up with its citations."""

import pytest
from tests.answering import Writer

from bottega.retrieval.answers.answer import Citation, Sentence
from bottega.retrieval.answers.conversation import Turn, conversation, find, leans, standalone


def turn(question: str, said: str) -> Turn:
    quote = Citation(source="a.md", sha256="0" * 64, page=1, start=0, end=len(said), quote=said)
    return Turn(
        at="2026-01-01T00:00:00Z",
        question=question,
        outcome="answered",
        sentences=(Sentence(text=said, citations=(quote,)),),
    )


TURNS = [
    turn(f"How much is delivery to {place}?", f"Delivery to {place} costs {price} EUR.")
    for place, price in [
        ("Belgium", 5),
        ("France", 8),
        ("Germany", 6),
        ("Spain", 9),
        ("Austria", 7),
        ("Italy", 10),
    ]
]


@pytest.mark.parametrize(
    "question", ["And in Norway?", "What about France?", "How long does it take?", "Why?"]
)
def test_a_question_that_needs_an_earlier_one_is_seen(question: str) -> None:
    assert leans(question, TURNS[-1])
    assert not leans("How long is the warranty of Rill Duo?", TURNS[-1])


FOLLOWING = {
    "de": (
        "Wie lange ist die Garantie von Rill One?",
        (
            "Und von Rill Estate?", "Was ist mit Rill Duo?", "Wie lange dauert es?", "Was kostet das?", "Hat er eine App?",
            "Wie lange hält sie?", "Gilt das auch für Batterien?", "Ist dieser Regler wasserdicht?", "Warum?", "Wird dafür ein Konto gebraucht?",
        ),
        (
            "Gibt es eine Garantie für Rill Duo?", "Liefern Sie nach Japan?", "Ist das WLAN verschlüsselt?", "Ist es möglich, den Filter zu waschen?",
            "Welche Garantie hat Rill Duo?",
        ),
    ),
    "fr": (
        "Combien de temps dure la garantie de Rill One ?",
        (
            "Et celle de Rill Estate ?", "Combien coûte-t-elle ?", "Combien de temps dure-t-il ?", "Et en Norvège ?", "Combien ça coûte ?",
            "Pourquoi ?", "Est-ce que cette pompe est étanche ?", "C'est gratuit ?", "Est-ce la même chose pour Rill Duo ?",
        ),
        (
            "Y a-t-il une garantie pour Rill Duo ?", "Est-ce que le filtre se lave ?", "La garantie couvre-t-elle le gel ?",
            "Faut-il un compte pour Rill Duo ?", "Où se trouve le bouton ?", "Est-il possible de laver le filtre ?",
        ),
    ),
    "es": (
        "¿Cuánto tiempo dura la garantía de Rill One?",
        ("¿Y la de Rill Estate?", "¿Y en Noruega?", "¿Cuánto cuesta eso?", "¿Por qué?", "¿Esta bomba es impermeable?", "¿Vale lo mismo para Rill Duo?"),
        ("¿Dónde está el botón?", "¿Envían a Japón?", "¿Tiene garantía el Rill Duo?", "¿Es posible lavar el filtro?"),
    ),
    "it": (
        "Quanto dura la garanzia di Rill One?",
        ("E quella di Rill Estate?", "E in Norvegia?", "Quanto costa questo?", "Perché?", "Questa pompa è impermeabile?", "Vale lo stesso per Rill Duo?"),
        ("È possibile lavare il filtro?", "Dov'è il pulsante?", "Spedite in Giappone?", "Quanto dura la garanzia di Rill Duo?"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", FOLLOWING)
def test_it_is_seen_in_other_languages(language: str) -> None:
    before, following, alone = FOLLOWING[language]
    last = turn(before, "24")
    assert [question for question in following if not leans(question, last)] == []
    assert [question for question in alone if leans(question, last)] == []


async def test_it_is_completed_in_its_own_language() -> None:
    turns = [turn("Wie lange ist die Garantie von Rill One?", "Rill One hat eine Garantie von 24 Monaten.")]
    good = Writer(["Wie lange ist die Garantie von Rill Estate?"])
    assert (
        await standalone("Und von Rill Estate?", turns, good, "")
        == "Wie lange ist die Garantie von Rill Estate?"
    )
    assert "in German" in good.asked[0].params["prompt"]
    english = Writer(["How long is the warranty of Rill Estate?"])
    assert (
        await standalone("Und von Rill Estate?", turns, english, "")
        == "Wie lange ist die Garantie von Rill One? Und von Rill Estate?"
    )


def test_a_short_reply_to_a_question_back_leans_on_it() -> None:
    back = Turn(at="", question="How long is the warranty?", outcome="asks_back")
    assert leans("Rill Duo", back) and not leans("Rill Duo", TURNS[-1])


async def test_the_rewritten_question_uses_words_of_the_conversation_only() -> None:
    good = Writer(["How much is delivery to Norway"])
    assert await standalone("And to Norway?", TURNS, good, "") == "How much is delivery to Norway?"
    (conversation,) = good.asked[0].parts  # data, not instructions
    assert conversation.text and "Italy" in conversation.text and "Belgium" in conversation.text
    assert "Italy" not in good.asked[0].params["prompt"]
    for said in ("How much is the secret tunnel to Norway?", "How much is delivery to Italy?"):
        assert (
            await standalone("And to Norway?", TURNS, Writer([said]), "")
            == "How much is delivery to Italy? And to Norway?"
        )


def test_older_turns_become_a_cited_summary() -> None:
    held = conversation("s", TURNS)
    assert [each.question for each in held.turns] == [each.question for each in TURNS[2:]]
    assert [each.text for each in held.summary] == [
        "Delivery to Belgium costs 5 EUR.",
        "Delivery to France costs 8 EUR.",
    ]
    assert all(each.citations for each in held.summary) and held.count == 6


def test_history_is_searched() -> None:
    assert find(TURNS, "spain")[0] == TURNS[3]
    assert find(TURNS, "kangaroo") == []
