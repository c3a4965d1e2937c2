"""Values of made-up facts: how one amount may be written, and which amounts exclude it."""

import random
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORDS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
_LARGER = {"month": ("year", 12), "day": ("week", 7), "minute": ("hour", 60), "hour": ("day", 24)}


def words(number: int) -> str:
    """A number below 100 in words."""
    if number < 20:
        return WORDS["ones"][number]
    tens, ones = divmod(number, 10)
    return WORDS["tens"][tens] + (f"-{WORDS['ones'][ones]}" if ones else "")


@dataclass(frozen=True)
class Given:
    """An amount with all the ways in which it may be written; ``size`` orders amounts of one kind."""

    size: float
    ways: tuple[str, ...]
    adjectives: tuple[str, ...] = ()

    def say(self, rng: random.Random) -> str:
        """One way to write it, the plainest as often as all others together."""
        return self.ways[0] if rng.random() < 0.5 else rng.choice(self.ways)

    def adjective(self, rng: random.Random) -> str:
        """One way to write it before a noun."""
        return rng.choice(self.adjectives or self.ways)


def _count(number: int, unit: str) -> list[str]:
    plural = unit if number == 1 else unit + "s"
    spelled = [f"{words(number)} {plural}"] if number < 100 else []
    return [f"{number} {plural}", *spelled]


def given(fact: dict[str, Any], size: float) -> Given:
    """The amount ``size`` of a fact's kind of value."""
    n = round(size)
    match fact["value"]:
        case "duration":
            unit: str = fact["unit"]
            ways, adjectives = _count(n, unit), [f"{n}-{unit}"]
            larger, factor = _LARGER.get(unit, ("", 1))
            if larger and n % factor == 0 and n // factor < 100:
                ways += _count(n // factor, larger)
                adjectives += [f"{words(n // factor)}-{larger}", f"{n // factor}-{larger}"]
            return Given(n, tuple(ways), tuple(adjectives))
        case "money":
            cents = round(size * 100)
            amount = f"{cents // 100}" if cents % 100 == 0 else f"{cents / 100:.2f}"
            mark = fact.get("mark", "€")
            name = {"€": ("EUR", "euros"), "$": ("USD", "dollars"), "£": ("GBP", "pounds")}[mark]
            ways = [f"{mark}{amount}", f"{amount} {name[0]}", f"{name[0]} {amount}", f"{amount} {name[1]}"]
            return Given(size, tuple(ways))
        case "litres":
            litres = n / 10
            return Given(n, (f"{litres:g} litres", f"{n * 100} ml", f"{litres:g} l"), (f"{litres:g}-litre",))
        case "weight":
            kilos = n / 10
            return Given(n, (f"{kilos:g} kg", f"{n * 100} g", f"{kilos:g} kilograms"))
        case "time":
            hour, minute = divmod(round(size * 60), 60)
            half = f"{hour % 12 or 12}{f':{minute:02d}' if minute else ''} {'am' if hour < 12 else 'pm'}"
            return Given(size, (f"{hour:02d}:{minute:02d}", half, half.replace(" ", "")))
        case "year":
            return Given(n, (str(n),))
        case "choice":
            return Given(n, (fact["options"][n],))
        case _:
            spellings = fact["unit"].split("|")
            written = [f"{n:,}" if n > 999 else str(n), str(n)]
            joint = "" if spellings[0] == "%" else " "
            ways = [f"{w}{joint if u == '%' else ' '}{u}" for w in written for u in spellings]
            spelled = [f"{words(n)} {spellings[-1]}"] if n < 100 and spellings[-1] != "%" else []
            return Given(n, tuple(ways + spelled))


def draw(rng: random.Random, fact: dict[str, Any]) -> Given:
    """A random amount of the fact's kind."""
    match fact["value"]:
        case "duration":
            factor = _LARGER.get(fact["unit"], ("", 1))[1]
            n = rng.randint(fact["low"], fact["high"])
            if factor > 1 and rng.random() < 0.5 and fact["high"] >= factor:
                n = factor * rng.randint(1, fact["high"] // factor)
            elif rng.random() < 0.4 and n > 10:
                n = n // 10 * 10
            return given(fact, n)
        case "money":
            whole = rng.randint(fact["low"], fact["high"])
            return given(fact, whole + rng.choice((0, 0, 0, 0.5, 0.9, 0.95, 0.99)))
        case "time":
            return given(fact, rng.randint(fact["low"], fact["high"]) + rng.choice((0, 0, 0.5, 0.25)))
        case "year":
            return given(fact, rng.randint(1850, 2025))
        case "choice":
            return given(fact, rng.randrange(len(fact["options"])))
        case _:
            step = fact.get("step", 1)
            return given(fact, rng.randint(fact["low"] // step, fact["high"] // step) * step)


def other(rng: random.Random, fact: dict[str, Any], value: Given) -> Given:
    """An amount of the same fact that excludes ``value``: drawn anew, or near, or a digit off."""
    while True:
        made = draw(rng, fact)
        if fact["value"] not in ("choice", "time") and rng.random() < 0.6:
            size = value.size
            changed = rng.choice((size + 1, size - 1, size * 2, size // 2, size * 10, size + 10, size - 10))
            made = given(fact, changed) if changed >= 1 else made
        if made.size != value.size and not set(made.ways) & set(value.ways):
            return made


def compare(rng: random.Random, fact: dict[str, Any], value: Given, true: bool) -> tuple[str, str] | None:
    """A form that compares the value with a bound, and the bound; true or false of ``value``."""
    more = rng.random() < 0.5
    below = more == true
    size = value.size * rng.choice((0.5, 0.7, 0.8, 0.9) if below else (1.2, 1.5, 2, 3))
    if fact["value"] == "time":
        size = value.size + rng.choice((-1, -2) if below else (1, 2))
    elif fact["value"] == "year":
        size = value.size + rng.choice((-1, -5, -20) if below else (1, 5, 20))
    size = round(size)
    if size < 1 or (size >= value.size) == below:
        return None
    return rng.choice(fact["more" if more else "less"]), given(fact, size).say(rng)
