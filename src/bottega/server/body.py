"""Bodies of requests. What a dialect knows and is not done here is refused by name, never left aside silently."""

from typing import Annotated, Any, ClassVar, get_origin, get_type_hints

import msgspec

from bottega.core.errors import InvalidValue


class Body(msgspec.Struct, kw_only=True):
    """What a route takes. A field marked by `only` says which of its values are done; any other is refused.

    ``within`` is where a body stands that is a part of another, such as ``text.``.
    """

    within: ClassVar[str] = ""
    limited: ClassVar[dict[str, msgspec.Meta]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        hints = get_type_hints(cls, include_extras=True)
        cls.limited = {name: hint.__metadata__[0] for name, hint in hints.items() if _limited(hint)}

    def __post_init__(self) -> None:
        """Refuse what is not done.

        Raises:
            InvalidValue: naming the field.
        """
        for name, meta in self.limited.items():
            value, extra = getattr(self, name), meta.extra or {}
            if value is not None and value not in extra["values"]:
                raise InvalidValue(
                    f"{extra['why']}; {_told(value)} is asked", where=f"{self.within}{name}", remedy=extra["remedy"]
                )  # fmt: skip


def only(*values: Any, why: str = "it is not done here", remedy: str = "leave it out") -> msgspec.Meta:
    """Marks a field of which these values alone are done, and null."""
    return msgspec.Meta(
        extra={"values": values, "why": why, "remedy": remedy},
        extra_json_schema={"enum": [None, *values], "description": f"{why}: {remedy}"},
    )


def _limited(hint: Any) -> bool:
    if get_origin(hint) is not Annotated:
        return False
    meta = hint.__metadata__[0]
    return isinstance(meta, msgspec.Meta) and "values" in (meta.extra or {})


def _told(value: Any) -> str:
    said = msgspec.json.encode(value).decode()
    return said if len(said) <= 40 else f"{said[:40]}..."
