"""The content of a data subject under its key: entries' details, plans and results, what was asked and answered."""

from base64 import b64decode, b64encode
from dataclasses import dataclass

from bottega.core.canonical import digest_bytes
from bottega.core.errors import PolicyDenied
from bottega.governance.keyring import KeyRing
from bottega.storage.sealing import object_name, open_bytes, seal_bytes


class SubjectSeal:
    """Seals for holders, the pseudonyms of data subjects; what is sealed for one opens for no other."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def close(self, holder: str, plain: bytes) -> bytes:
        """Encrypt for a holder.

        Raises:
            PolicyDenied: the holder was erased.
            NotFound: the holder has no key.
        """
        return seal_bytes(plain, self._ring.key_of(holder), holder.encode())

    def open(self, holder: str, sealed: bytes) -> bytes | None:
        """Decrypt, or None once the key is destroyed.

        Raises:
            NotFound: the key is lost, and was not destroyed.
            Tampered: the bytes are not as they were sealed.
        """
        try:
            key = self._ring.key_of(holder)
        except PolicyDenied:
            return None
        return open_bytes(sealed, key, holder.encode())


@dataclass(frozen=True)
class Vault:
    """One data subject's words, kept in tables of others: sealed texts, and names that tell nothing without the key.

    Every method raises PolicyDenied once the subject is erased.
    """

    ring: KeyRing
    holder: str

    def close(self, text: str) -> str:
        """Encrypt a text; gives Base64."""
        return b64encode(seal_bytes(text.encode(), self._key, self.holder.encode())).decode()

    def open(self, sealed: str) -> str:
        """Decrypt what `close` gave.

        Raises:
            Tampered: the bytes are not as they were sealed.
        """
        return open_bytes(b64decode(sealed), self._key, self.holder.encode()).decode()

    def name(self, text: str) -> str:
        """The same text has the same name: 64 hexadecimal digits."""
        return object_name(self._key, digest_bytes(text.encode()))

    @property
    def _key(self) -> bytes:
        return self.ring.key_of(self.holder)
