"""Who signs: a certificate authority of this installation, or the organisation's own key and certificate."""

import contextlib
import os
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bottega.core.errors import InvalidValue, StorageFailed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

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
        return _split(self.chain)[-1]

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
        _examine(certificates, secret, certificate)
        return cls(_common_name(certificates[0]), _algorithm(secret), _pem(*certificates), _key_pem(secret))


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
        _write_secret(fresh / "root.key", _key_pem(root_key))
        (fresh / "root.pem").write_text(_pem(_certificate(root_key, None)), encoding="ascii")
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
    leaf = _certificate(leaf_key, (root, cast(ec.EllipticCurvePrivateKey, root_key)))
    _write_secret(folder / "signer.pem", _key_pem(leaf_key) + _pem(leaf, root))


def _read_local(folder: Path) -> Authority | None:
    """What lies in the folder; None when the signing certificate has to be renewed."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = (folder / "signer.pem").read_bytes()
    secret = load_pem_private_key(data, password=None)
    certificates = x509.load_pem_x509_certificates(data)
    if certificates[0].not_valid_after_utc - datetime.now(UTC) < RENEW_BEFORE:
        return None
    return Authority(_common_name(certificates[0]), _algorithm(secret), _pem(*certificates), _key_pem(secret))


def _certificate(
    key: "EllipticCurvePrivateKey", above: "tuple[Certificate, EllipticCurvePrivateKey] | None"
) -> "Certificate":
    """A root (nothing above) or a signing certificate with what C2PA asks for: digitalSignature, emailProtection.

    Source: C2PA specification 2.4, section 14.5 "Certificate profile"; RFC 5280.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    root = above is None
    title = "Bottega local root" if root else "Bottega local signer"
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bottega"),
            x509.NameAttribute(NameOID.COMMON_NAME, title),
        ]
    )
    issuer, signed_with = above or (None, key)
    now = datetime.now(UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + timedelta(days=365 * (ROOT_YEARS if root else LEAF_YEARS)))
        .add_extension(x509.BasicConstraints(ca=root, path_length=0 if root else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_with.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=not root,
                key_cert_sign=root,
                crl_sign=root,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if not root:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(signed_with, SHA256())


def _examine(certificates: "list[Certificate]", secret: "PrivateKeyTypes", path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    def refuse(message: str, remedy: str) -> InvalidValue:
        return InvalidValue(message, where=str(path), remedy=remedy)

    leaf = certificates[0]
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*spki) != secret.public_key().public_bytes(*spki):
        raise refuse(
            "the first certificate does not belong to the signing key",
            "put its certificate first in the file",
        )
    if not leaf.not_valid_before_utc <= datetime.now(UTC) <= leaf.not_valid_after_utc:
        raise refuse(f"the certificate is valid until {leaf.not_valid_after_utc:%Y-%m-%d} only", "renew it")
    for below, above in pairwise(certificates):
        if below.issuer != above.subject:
            raise refuse("the certificates are not a chain", "order them: signing certificate, issuer, root")
    if len(certificates) == 1 and leaf.issuer == leaf.subject:
        raise refuse("C2PA refuses self-signed signing certificates", "have it issued by a root of your own")
    try:
        if not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            raise refuse("the certificate is not for digital signatures", "ask for keyUsage digitalSignature")
        leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound as error:
        raise refuse(
            f"the certificate lacks an extension: {error}",
            "ask for keyUsage digitalSignature and extendedKeyUsage emailProtection",
        ) from error


def _algorithm(key: object) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size in (256, 384, 521):
        return {256: "es256", 384: "es384", 521: "es512"}[key.curve.key_size]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    raise InvalidValue(
        "this kind of signing key cannot be used",
        remedy="use EC P-256, P-384, P-521, Ed25519, or RSA of 2048 bits or more",
    )


def _common_name(certificate: "Certificate") -> str:
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _pem(*certificates: "Certificate") -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in certificates)


def _key_pem(key: "PrivateKeyTypes") -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _split(chain: str) -> list[str]:
    end = "-----END CERTIFICATE-----\n"
    return [f"{piece}{end}" for piece in chain.split(end) if piece.strip()]


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
