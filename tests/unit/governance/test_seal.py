"""Content of data subjects: sealed for one, opened for no other, gone with the key."""

from pathlib import Path

import pytest

from bottega.core.errors import NotFound, PolicyDenied, Tampered
from bottega.governance.keyring import KeyRing
from bottega.governance.seal import SubjectSeal


def test_what_is_sealed_opens_for_its_holder_alone_until_the_key_is_destroyed(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys")
    seal = SubjectSeal(ring)
    ada, bob = ring.pseudonym("ada"), ring.pseudonym("bob")
    with pytest.raises(NotFound):
        seal.close(ada, b"plain")
    ring.key("ada", create=True)
    ring.key("bob", create=True)
    sealed = seal.close(ada, b"plain")
    assert b"plain" not in sealed
    assert seal.open(ada, sealed) == b"plain"
    with pytest.raises(Tampered):
        seal.open(bob, sealed)
    ring.destroy("ada")
    assert seal.open(ada, sealed) is None
    with pytest.raises(PolicyDenied):
        seal.close(ada, b"more")
