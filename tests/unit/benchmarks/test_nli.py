"""The rules that make training pairs: each keeps its promise about the label."""

import random
import tomllib
from collections import Counter
from pathlib import Path

from benchmarks.nli.edits import Paragraph, negation, number, pair
from benchmarks.nli.facts import TABLE, facts
from benchmarks.nli.statements import statement
from benchmarks.nli.values import compare, draw, other

HAND = Path(__file__).parents[2] / "data" / "entailment.toml"


def test_made_pairs_are_balanced_and_the_same_for_the_same_seed() -> None:
    made = list(facts(7, 900))
    assert made == list(facts(7, 900))
    assert min(Counter(one.label for one in made).values()) > 250


def test_another_value_excludes_the_first() -> None:
    rng = random.Random(1)
    for fact in (fact for fact in TABLE["fact"] if "value" in fact):
        for _ in range(30):
            value = draw(rng, fact)
            changed = other(rng, fact, value)
            assert not set(value.ways) & set(changed.ways), fact["label"]


def test_a_bound_is_true_or_false_as_asked() -> None:
    rng = random.Random(2)
    fact = next(fact for fact in TABLE["fact"] if fact["label"] == "Weight")
    for _ in range(50):
        value = draw(rng, fact)
        for true in (True, False):
            if made := compare(rng, fact, value, true):
                form, bound = made
                amount = float(bound.split()[0]) * (0.01 if bound.endswith(" g") else 10)
                assert (("more" in form or "heavier" in form) == (value.size > amount)) == true


def test_changes_change() -> None:
    rng = random.Random(3)
    assert number(rng, "It has 24 rooms.", ()) not in (None, "It has 24 rooms.")
    assert negation(rng, "The lid is safe.", ()) in ("The lid is not safe.", "The lid is never safe.")
    assert negation(rng, "The lid is not safe.", ()) == "The lid is safe."
    assert number(rng, "It has rooms.", ()) is None


def test_a_sentence_of_the_quote_is_supported_and_one_from_outside_is_not() -> None:
    at = Paragraph(
        "X", tuple(f"The place number {n} was opened in {1900 + n} by the king." for n in range(9)), "t"
    )
    rng = random.Random(4)
    made = [one for one in (pair(rng, at, ["Paris"] * 99) for _ in range(300)) if one]
    assert {one.label for one in made} == {"supports", "contradicts", "not_enough"}
    assert all(one.hypothesis in one.premise for one in made if one.source == "t/same")
    assert all(one.hypothesis not in one.premise for one in made if one.label != "supports")


def test_questions_become_statements() -> None:
    assert statement("Who founded Rome?", "Romulus") == "Romulus founded Rome."
    assert statement("What was the name of the dog?", "Rex") == "The name of the dog was Rex."
    assert statement("When was the tower built?", "1889") == "The tower was built in 1889."
    assert statement("Why did it rain?", "no idea") is None


def test_the_hand_written_set_is_balanced_large_enough_and_apart_from_what_is_made() -> None:
    items = tomllib.loads(HAND.read_text(encoding="utf-8"))["item"]
    assert len(items) * 3 >= 150
    premises = {item["premise"] for item in items}
    assert len(premises) == len(items)
    assert not premises & {one.premise for one in facts(5, 3000)}
