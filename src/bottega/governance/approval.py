"""Who may approve, how many must, and by when."""

import base64
import binascii
import unicodedata

from pydantic import Field, field_validator

from bottega.core.value import Value


class Review(Value, frozen=True):
    """What a policy asks for before a file may leave. With roles, an approval counts from somebody who has one of them."""

    approvals: int = Field(default=1, ge=1, le=20, description="different people who must approve")
    roles: tuple[str, ...] = Field(default=(), description="roles that those people must have between them")
    due_hours: float = Field(default=24, gt=0, le=10_000, description="after which it is overdue")
    expires_hours: float | None = Field(
        default=None, gt=0, le=10_000, description="after which approvals so far no longer count; None: never"
    )
    escalate_to: str = Field(default="", description="person or role that gets it when it is overdue")
    self_approval: bool = Field(default=False, description="whether who asked for the run may approve")


class Asked(Review, frozen=True):
    """What one rule asks for; ``rule`` is "" for the policy's own table, which holds for what a check blocked."""

    rule: str = ""


class Person(Value, frozen=True):
    """Somebody who decides. With a key, only decisions signed by it are taken from this name."""

    name: str = Field(min_length=1, max_length=200)
    roles: tuple[str, ...] = ()
    logins: tuple[str, ...] = Field(default=(), description="names under which this person asks for runs")
    key: str = Field(default="", description="Ed25519 public key: its 32 bytes in base64")

    @field_validator("key")
    @classmethod
    def _is_key(cls, key: str) -> str:
        try:
            if key and len(base64.b64decode(key, validate=True)) != 32:
                raise ValueError("an Ed25519 public key has 32 bytes")
        except binascii.Error as error:
            raise ValueError("the key is not base64") from error
        return key

    @property
    def names(self) -> set[str]:
        """Name and logins, as they are compared."""
        return {folded(each) for each in (self.name, *self.logins)}

    def called(self, name: str) -> bool:
        """Whether a name or login means this person."""
        return folded(name) in self.names


def folded(name: str) -> str:
    """A name as it is compared: without `user:` or `person:`, width, case and extra spaces.

    Not covered: letters of other scripts that look alike.
    """
    return bare(unicodedata.normalize("NFKC", name)).casefold()


def bare(name: str) -> str:
    """A name without `user:` or `person:` and extra spaces."""
    return " ".join(name.strip().removeprefix("user:").removeprefix("person:").split())
