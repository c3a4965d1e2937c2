"""Personal data that has no business in a deliverable; found by form and checksum, shown masked."""

import re
from fnmatch import fnmatchcase
from typing import Any, Literal, cast

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.checks.identifiers import found_in, masked
from bottega.checks.reading import TEXTS, pieces
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict

Level = Literal["pass", "flag", "block"]


class PersonalDataOptions(Options, frozen=True):
    """What to do about each kind."""

    allow: tuple[str, ...] = Field(
        default=(), description="public contact addresses as shell patterns, for example '*@example.com'"
    )
    contact: Level = Field(
        default="flag", description="for e-mail addresses and phone numbers that the sources hold"
    )
    unknown_contact: Level = Field(
        default="block", description="for those that stand in no source: invented, or leaked"
    )
    account: Level = Field(
        default="block", description="for bank accounts, payment cards and national identity numbers"
    )
    address: Level = Field(default="flag", description="for public internet (IP) addresses")


class PersonalData:
    """E-mail, phone, IBAN, payment card, national numbers of FR, DE, ES, US, IP addresses.

    Not covered: names, postal addresses, pictures of people, numbers without a checksum.
    """

    id = "personal_data"
    media_types = TEXTS
    options = PersonalDataOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Flag or block with the kind, the place and the masked value."""
        chosen = cast(PersonalDataOptions, options)
        sources = _squeezed(" ".join([*(passage.text for passage in subject.passages), subject.goal]))
        found: list[JsonObject] = []
        levels: set[str] = set()
        for piece in pieces(subject):
            for kind, value, start in found_in(piece.text):
                if any(fnmatchcase(value.casefold(), pattern.casefold()) for pattern in chosen.allow):
                    continue
                level: str = _level(kind, _squeezed(value) in sources, chosen)
                if level != "pass":
                    levels.add(level)
                    found.append({"kind": kind, "value": masked(kind, value), "place": piece.at(start)})
        outcome: Any = next((level for level in ("block", "flag") if level in levels), "pass")
        kinds = ", ".join(sorted({str(one["kind"]) for one in found}))
        return Verdict(
            check=self.id,
            outcome=outcome,
            reason=f"personal data: {kinds}" if found else "no personal data of the kinds it knows",
            score=float(len(found)),
            unit="findings",
            evidence={"found": found[:50]},
        )


def _level(kind: str, in_sources: bool, options: PersonalDataOptions) -> Level:
    match kind:
        case "e-mail" | "phone":
            return options.contact if in_sources else options.unknown_contact
        case "IP address":
            return options.address
        case _:
            return options.account


def _squeezed(text: str) -> str:
    return re.sub(r"[\s().\-/]", "", text).casefold()
