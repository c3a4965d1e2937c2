"""The content of a data subject under its key: entries' details, plans and results."""

from bottega.core.errors import PolicyDenied
from bottega.governance.keyring import KeyRing
from bottega.storage.sealing import open_bytes, seal_bytes


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
