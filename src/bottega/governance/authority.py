"""Who signs: a certificate authority of this installation, or the organisation's own key and certificate."""

import contextlib
import os
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from bottega.core.errors import InvalidValue, StorageFailed
from bottega.governance.certificates import (
    algorithm_of,
    common_name,
    examine,
    key_pem,
    make_certificate,
    pem,
    split_chain,
)

ROOT_YEARS = 20
LEAF_YEARS = 10
RENEW_BEFORE = timedelta(days=5 * 365)  # without a time stamp a signature lives as long as its certificate


@dataclass(frozen=True)
class Authority:
    """A signing key with its certificates, all PEM.

    ``chain`` starts with the signing certificate and ends with the highest issuer given.
    """

    name: str
    algorithm: str
    chain: str
    private_key: str = field(repr=False)

    def root_pem(self) -> str:
        """The certificate that a verifier has to trust."""
        return split_chain(self.chain)[-1]

    @classmethod
    def local(cls, folder: Path) -> "Authority":
        """The authority of this installation, made on first use; safe when several processes start at once.

        The folder gets `root.pem` (to hand out), `root.key` and `signer.pem` (secret, mode 0600).

        Raises:
            StorageFailed: the folder cannot be written, or what lies there is damaged.
        """
        try:
            if not (folder / "signer.pem").exists():
                _found(folder)
            authority = _read_local(folder)
            if authority is None:
                _issue_leaf(folder)
                authority = _read_local(folder)
        except (OSError, ValueError) as error:
            raise StorageFailed(
                f"the signing authority cannot be used: {error}",
                where=str(folder),
                remedy="restore the folder from a backup, or move it away to start a new authority",
            ) from error
        if authority is None:
            raise StorageFailed("the signing certificate cannot be renewed", where=str(folder))
        return authority

    @classmethod
    def given(cls, key: Path, certificate: Path) -> "Authority":
        """The organisation's own key (PEM, no passphrase) and certificate chain (PEM, signing certificate first).

        Raises:
            InvalidValue: unreadable, expired, not for signing, or key and certificate do not belong together.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            secret = load_pem_private_key(key.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise InvalidValue(
                f"the signing key cannot be read: {error}",
                where=str(key),
                remedy="give an unencrypted PEM file with an EC, Ed25519 or RSA key",
            ) from error
        try:
            certificates = x509.load_pem_x509_certificates(certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise InvalidValue(
                f"the certificate cannot be read: {error}",
                where=str(certificate),
                remedy="give a PEM file: the signing certificate first, then its issuers",
            ) from error
        examine(certificates, secret, certificate)
        return cls(common_name(certificates[0]), algorithm_of(secret), pem(*certificates), key_pem(secret))


def local_root(folder: Path) -> str:
    """The root certificate of the local authority, or "" when none was made yet. Makes nothing."""
    path = folder / "root.pem"
    return path.read_text(encoding="ascii") if path.is_file() else ""


def _found(folder: Path) -> None:
    """Make the root and the first signing certificate next to the place, then move them in at one stroke."""
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
        fresh = Path(made) / folder.name
        fresh.mkdir(mode=0o700)
        root_key = ec.generate_private_key(ec.SECP256R1())
        _write_secret(fresh / "root.key", key_pem(root_key))
        (fresh / "root.pem").write_text(pem(make_certificate(root_key, None, ROOT_YEARS)), encoding="ascii")
        _issue_leaf(fresh)
        with contextlib.suppress(OSError):  # another process was first: its authority is the one
            fresh.rename(folder)
    if not (folder / "signer.pem").exists():
        raise ValueError("the folder exists but holds no authority")


def _issue_leaf(folder: Path) -> None:
    """A new signing key with its certificate; one file, so that both change together."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    root = x509.load_pem_x509_certificate((folder / "root.pem").read_bytes())
    root_key = load_pem_private_key((folder / "root.key").read_bytes(), password=None)
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    leaf = make_certificate(leaf_key, (root, cast(ec.EllipticCurvePrivateKey, root_key)), LEAF_YEARS)
    _write_secret(folder / "signer.pem", key_pem(leaf_key) + pem(leaf, root))


def _read_local(folder: Path) -> Authority | None:
    """What lies in the folder; None when the signing certificate has to be renewed."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = (folder / "signer.pem").read_bytes()
    secret = load_pem_private_key(data, password=None)
    certificates = x509.load_pem_x509_certificates(data)
    if certificates[0].not_valid_after_utc - datetime.now(UTC) < RENEW_BEFORE:
        return None
    return Authority(common_name(certificates[0]), algorithm_of(secret), pem(*certificates), key_pem(secret))


def _write_secret(path: Path, text: str) -> None:
    """Write so that nobody else can read it, and nobody sees half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
