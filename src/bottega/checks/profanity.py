"""No swearing and no slurs, in the language of the text."""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.checks.reading import TEXTS, pieces
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict


class ProfanityOptions(Options, frozen=True):
    """What to do, and which words are fine here."""

    outcome: Literal["flag", "block"] = Field(default="block", description="for plain profanity")
    doubtful: Literal["pass", "flag", "block"] = Field(
        default="pass",
        description="for words that are also ordinary, medical or sexual; raise it for children's texts",
    )
    allow: tuple[str, ...] = Field(
        default=(), description="words that are fine here, for example a brand name"
    )


class Profanity:
    """Whole words of the lists in `profanity.json`, so Scunthorpe and cockpit pass.

    Not covered: insults made of clean words, disguised spellings, languages beyond the seven of a brief.
    """

    id = "profanity"
    media_types = TEXTS
    options = ProfanityOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block with each word's place; the words are shown with their middle hidden."""
        chosen = cast(ProfanityOptions, options)
        languages = tuple(sorted({"en", subject.language or "en"}))
        allowed = {word.casefold() for word in chosen.allow}
        found: list[JsonObject] = []
        for sure, level in ((True, chosen.outcome), (False, chosen.doubtful)):
            pattern = _pattern(languages, sure)
            if level == "pass" or pattern is None:
                continue
            found += [
                {"word": _hidden(match[0]), "place": piece.at(match.start()), "outcome": level}
                for piece in pieces(subject)
                for match in pattern.finditer(piece.text)
                if match[0].casefold() not in allowed
            ]
        outcome: Any = next(
            (level for level in ("block", "flag") if any(o["outcome"] == level for o in found)), "pass"
        )
        words = ", ".join(dict.fromkeys(str(one["word"]) for one in found[:5]))
        return Verdict(
            check=self.id,
            outcome=outcome,
            reason=f"words that do not belong here: {words}" if found else "no profanity",
            score=float(len(found)),
            unit="findings",
            evidence={"found": found[:50], "lists": list(languages)},
        )


@cache
def _pattern(languages: tuple[str, ...], sure: bool) -> re.Pattern[str] | None:
    """One expression of all words; English is always among them, texts in other languages borrow from it."""
    lists: Any = json.loads((files("bottega.checks") / "profanity.json").read_text("utf-8"))
    words = {
        word
        for language in languages
        for word in lists.get(language, {}).get("sure" if sure else "doubtful", ())
    }
    if not words:
        return None
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])", re.IGNORECASE)


def _hidden(word: str) -> str:
    return f"{word[0]}{'*' * (len(word) - 2)}{word[-1]}" if len(word) > 2 else "**"
