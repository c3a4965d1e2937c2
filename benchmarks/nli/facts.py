"""Pairs about made-up products, places, plans, services and studies, from the sentences of ``facts.toml``."""

import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.nli.pairs import Label, Pair
from benchmarks.nli.values import Given, compare, draw, other

TABLE: dict[str, list[dict[str, Any]]] = tomllib.loads(
    Path(__file__).with_name("facts.toml").read_text(encoding="utf-8")
)
ADDED = (
    "{S} has won a design award.", "{S} is recommended by experts.", "{S} is the best choice for families.",
    "{S} is used by schools.", "{S} is very popular with tourists.", "{S} was reviewed in the press.",
    "{S} will soon be replaced.", "{S} is cheaper than that of any competitor.", "{S} is known all over the world.",
)  # fmt: skip
LEADS = ("", "", "", "", "", "", "", "According to the source, ", "Note that ")


class Subject(NamedTuple):
    """A thing that facts are told about."""

    kind: str
    name: str
    short: str


class Told(NamedTuple):
    """One fact with its value; for a yes-or-no fact the value is a truth."""

    fact: dict[str, Any]
    value: Given | bool


def subject(rng: random.Random, like: Subject | None = None) -> Subject:
    """A thing; with ``like``, another of the same kind and noun."""
    while True:
        table = rng.choice([t for t in TABLE["subject"] if like is None or t["kind"] == like.kind])
        noun = like.short.removeprefix("the ") if like else rng.choice(table["nouns"])
        words = {"noun": noun, "name": rng.choice(table["names"])}
        made = Subject(table["kind"], table["name"].format(**words), table["short"].format(**words))
        if like is None or made.name != like.name:
            return made


def told(rng: random.Random, fact: dict[str, Any]) -> Told:
    """The fact with a value drawn for it."""
    return Told(fact, rng.random() < 0.5 if "yes" in fact else draw(rng, fact))


def changed(rng: random.Random, it: Told, beside: list[Told]) -> Told:
    """The same fact with a value that excludes the first; often a value that stands beside it."""
    if isinstance(it.value, bool):
        return Told(it.fact, not it.value)
    near = [
        b.value
        for b in beside
        if isinstance(b.value, Given)
        and b.fact["value"] == it.fact["value"] != "choice"
        and b.fact.get("unit") == it.fact.get("unit")
        and b.value.size != it.value.size
    ]
    return Told(it.fact, rng.choice(near) if near and rng.random() < 0.5 else other(rng, it.fact, it.value))


def sentence(rng: random.Random, it: Told, called: str, avoid: str = "") -> str:
    """One way to say a fact of the thing ``called`` so; not in the words of ``avoid`` if another way exists."""
    if isinstance(it.value, bool):
        forms, values = it.fact["yes" if it.value else "no"], {}
    else:
        forms = it.fact["says"]
        word = it.value.say(rng)
        values = {"v": word, "V": _upper(word), "a": it.value.adjective(rng)}
    made = [form.format(S=_upper(called), s=called, **values) for form in forms]
    return rng.choice([m for m in made if m != avoid] or made)


def row(rng: random.Random, it: Told) -> str:
    """The fact as a line of a data sheet."""
    if isinstance(it.value, bool):
        return f"{it.fact['label']}: {'yes' if it.value else 'no'}"
    return f"{it.fact['label']}: {it.value.say(rng)}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _premise(rng: random.Random, thing: Subject, facts: list[Told], second: Subject | None) -> str:
    if second is None and rng.random() < 0.15:
        joint = rng.choice(("; ", "\n", " | ", ", "))
        return f"{_upper(thing.name)}: " + joint.join(row(rng, it) for it in facts)
    called = [thing.name] + [rng.choice((thing.short, "it", thing.name)) for _ in facts]
    if second or rng.random() < 0.1:
        called = [thing.name] * len(facts)
    if second is None and rng.random() < 0.2:
        called = [rng.choice((thing.short, thing.short, "it"))] * len(facts)
    return " ".join(sentence(rng, it, name) for it, name in zip(facts, called, strict=False))


def pair(rng: random.Random) -> Pair:
    """One pair; the label is drawn first, each with the same chance."""
    label: Label = rng.choice(("supports", "contradicts", "not_enough"))
    thing = subject(rng)
    fitting = [fact for fact in TABLE["fact"] if thing.kind in fact["of"]]
    facts = [told(rng, fact) for fact in rng.sample(fitting, k=rng.choice((1, 1, 2, 2, 3, 4, 5)))]
    second = subject(rng, thing) if rng.random() < 0.3 else None
    premise = _premise(rng, thing, facts, second)
    asked = rng.choice(facts)
    more = [changed(rng, asked, facts)] if second else []
    if second:
        told_of_second = _premise(rng, second, more, thing)
        premise = " ".join((premise, told_of_second) if rng.random() < 0.5 else (told_of_second, premise))
    if second or thing.name.lower() in premise.lower() or thing.short not in premise.lower():
        called = rng.choice((thing.name, thing.name, thing.name if second else thing.short))
    else:
        called = thing.short
    said = asked if label == "supports" else changed(rng, asked, facts)
    rule = f"facts/{label}"
    if label == "not_enough":
        rest = [fact for fact in fitting if all(fact["label"] != it.fact["label"] for it in facts)]
        said = told(rng, rng.choice(rest))
        if second is None and rng.random() < 0.3 and thing.name in premise:
            called, said = subject(rng, thing).name, rng.choice((asked, changed(rng, asked, facts)))
            rule = "facts/another_thing"
    elif second and rng.random() < 0.5:
        called = second.name  # told of the second: there the other value is the true one
        said = more[0] if label == "supports" else asked
        rule = f"facts/{label}_second"
    made = sentence(rng, said, called)
    if isinstance(said.value, Given) and rng.random() < 0.25 and "more" in said.fact:
        truth = (
            said.value
            if label != "contradicts"
            else (more[0].value if called == (second and second.name) else asked.value)
        )
        assert isinstance(truth, Given)
        if bound := compare(rng, said.fact, truth, true=label != "contradicts"):
            form, limit = bound
            made = form.format(S=_upper(called), s=called, x=limit)
    if label == "not_enough" and rng.random() < 0.15:
        made = rng.choice(ADDED).format(S=_upper(called))
    elif rng.random() < 0.12 and len(facts) > 1 and not second:
        made = _joined(rng, made, sentence(rng, rng.choice([f for f in facts if f is not asked]), called))
        rule += "_joined"
    lead = rng.choice(LEADS)
    if isinstance(said.value, bool) and rng.random() < 0.2:
        lead = "Yes, " if said.value else "No, "
    return Pair(premise, lead + (made[0].lower() + made[1:] if lead else made), label, rule)


def _joined(rng: random.Random, first: str, second: str) -> str:
    one, two = (first, second) if rng.random() < 0.5 else (second, first)
    return f"{one[:-1]}, and {two[0].lower()}{two[1:]}"


def facts(seed: int, count: int) -> Iterator[Pair]:
    """``count`` pairs, the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        yield pair(rng)
