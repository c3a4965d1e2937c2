"""The text is in the language that was asked for, all of it."""

import asyncio
import re
from collections import Counter
from functools import cache
from typing import Any, Literal, cast

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.checks.reading import prose
from bottega.core.brief import LANGUAGE_NAMES
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict

# Quotations stand in the language of their source.
_NOT_WORDS = re.compile(
    r"^>[^\n]*$|```.*?```|`[^`]*`|(?:https?://|www\.)\S+|\]\([^)]*\)|\S+@\S+|<[^>]+>|[\d#*_|>=~\[\]()]+",
    re.DOTALL | re.MULTILINE,
)
_NAME = re.compile(r"(?<=[^\W\d_] )(?:[A-Z][\w'’-]*)(?: [A-Z][\w'’-]*)*")  # capitals inside a sentence


class LanguageIsOptions(Options, frozen=True):
    """What counts as enough to tell."""

    language: str = Field(default="", description="two letters; empty: the language asked for in the brief")
    short: int = Field(
        default=60, ge=0, description="characters below which words cannot tell a language surely"
    )
    least: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="a short text passes if its language has at least this probability",
    )
    paragraph: int = Field(
        default=90, ge=20, description="a paragraph of this many letters is judged by itself"
    )
    mixed: Literal["flag", "block"] = Field(default="block", description="for paragraphs in another language")


class LanguageIs:
    """Statistical identification (py3langid) over seven languages, of the whole and of each long paragraph.

    Not covered: how well the language is written; single foreign words.
    """

    id = "language_is"
    media_types = (
        "text/markdown",
        "text/plain",
        "text/html",
        "text/vtt",
        "application/json",
        "application/pdf",
    )
    options = LanguageIsOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block when the text, or a paragraph of it, is in another language."""
        return await asyncio.to_thread(self._judge, subject, cast(LanguageIsOptions, options))

    def _judge(self, subject: Subject, options: LanguageIsOptions) -> Verdict:
        wanted = options.language or subject.language
        if not wanted:
            return Verdict(check=self.id, outcome="pass", reason="no language was asked for")
        whole = prose(subject)
        text = _words_of(whole)
        if wanted not in LANGUAGE_NAMES:
            return self._said("block", f"'{wanted}' is not a language this check knows", 0.0, {})
        if not text:
            return self._said("block", "there are no words to tell a language by", 0.0, {})
        ranked = _ranked(text)
        found, share = ranked[0]
        likely = dict(ranked)[wanted]
        evidence: JsonObject = {
            "wanted": wanted,
            "found": found,
            "probability": round(share, 4),
            "letters": len(text),
        }
        if len(text) < options.short:
            fits = found == wanted or likely >= options.least
            reason = f"a short text, {LANGUAGE_NAMES[wanted]} with probability {likely:.2f}"
            return self._said("pass" if fits else "block", reason, likely, evidence)
        if found != wanted:
            return self._said(
                "block",
                f"written in {LANGUAGE_NAMES[found]}, {LANGUAGE_NAMES[wanted]} was asked",
                likely,
                evidence,
            )
        strangers = self._strangers(whole, wanted, options)
        if strangers:
            evidence["paragraphs"] = strangers[:10]
            counts = Counter(LANGUAGE_NAMES[one["found"]] for one in strangers)
            named = ", ".join(f"{count} in {language}" for language, count in counts.items())
            return self._said(options.mixed, f"paragraphs in another language: {named}", likely, evidence)
        return self._said("pass", f"written in {LANGUAGE_NAMES[wanted]}", likely, evidence)

    def _said(self, outcome: Any, reason: str, score: float, evidence: JsonObject) -> Verdict:
        return Verdict(
            check=self.id, outcome=outcome, reason=reason, score=score, unit="probability", evidence=evidence
        )

    @staticmethod
    def _strangers(whole: str, wanted: str, options: LanguageIsOptions) -> list[JsonObject]:
        found: list[JsonObject] = []
        for paragraph in re.split(r"\n\s*\n", whole):
            text = _words_of(paragraph)
            if len(text) < options.paragraph:
                continue
            language, probability = _ranked(text)[0]
            if language != wanted and probability > 0.9:
                found.append({"found": language, "probability": round(probability, 4), "start": text[:80]})
        return found


def _words_of(text: str) -> str:
    """Words that tell a language: no code, addresses, numbers or names."""
    plain = re.sub(r"\s+", " ", _NOT_WORDS.sub(" ", text)).strip()
    without_names = re.sub(r"\s+", " ", _NAME.sub(" ", plain)).strip()
    return without_names if len(without_names) * 2 > len(plain) else plain


def _ranked(text: str) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = [(str(name), float(share)) for name, share in _identifier().rank(text)]
    return found


@cache
def _identifier() -> Any:
    """The model among the brief's languages only; probabilities sum to 1."""
    from py3langid import langid

    library: Any = langid
    path = library.MODEL_DIR / library.MODEL_FILE
    identifier: Any = library.LanguageIdentifier.from_modelpath(path, norm_probs=True)
    identifier.set_languages(list(LANGUAGE_NAMES))
    return identifier
