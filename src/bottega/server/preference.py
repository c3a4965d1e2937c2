"""What a caller prefers: how urgent its call is (RFC 9218, ``Priority: u=N``), how long it waits (RFC 7240, ``Prefer: wait=S``)."""

import math
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from bottega.server.gate import USUAL
from bottega.server.message import Call
from bottega.service.keys import ApiKey

_URGENCY = re.compile(r"(?:^|,)\s*u=([0-7])\s*(?=$|[,;])")
_WAIT = re.compile(r"(?:^|[,;])\s*wait=(\d{1,6})\s*(?=$|[,;])", re.IGNORECASE)


def urgency(call: Call, key: ApiKey, levels: Mapping[str, int]) -> int:
    """0, the most urgent, to 7: the level of the key, by its name or an account of its, or less urgent where the call says so.

    A header that is none, or asks for more than the key's level, changes nothing, as RFC 9218 has it.
    """
    known = (key.name, *key.charge)
    own = next((n for glob, n in levels.items() if any(fnmatchcase(each, glob) for each in known)), USUAL)
    asked = _URGENCY.search(call.header(b"priority"))
    return max(own, int(asked[1])) if asked else own


def patience(call: Call, most: float = math.inf) -> float:
    """Seconds after its beginning in which the answer is of use to the caller, ``most`` where it does not say fewer."""
    asked = _WAIT.search(call.header(b"prefer"))
    return min(float(asked[1]), most) if asked else most
