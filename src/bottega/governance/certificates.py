"""X.509 as C2PA wants it: making certificates, and refusing those that will not do."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from bottega.core.errors import InvalidValue

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate


def make_certificate(
    key: "EllipticCurvePrivateKey", above: "tuple[Certificate, EllipticCurvePrivateKey] | None", years: int
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
        .not_valid_after(now + timedelta(days=365 * years))
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


def examine(certificates: "list[Certificate]", secret: "PrivateKeyTypes", path: Path) -> None:
    """Refuse a chain that C2PA would refuse, with what to ask the issuer for.

    Raises:
        InvalidValue: with ``where`` naming the file.
    """
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


def algorithm_of(key: object) -> str:
    """C2PA's name of the signature algorithm that goes with a key."""
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


def common_name(certificate: "Certificate") -> str:
    """Who a certificate belongs to, in words."""
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def pem(*certificates: "Certificate") -> str:
    """Certificates as PEM, one after the other."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in certificates)


def key_pem(key: "PrivateKeyTypes") -> str:
    """A private key as PEM (PKCS 8), not encrypted."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def split_chain(chain: str) -> list[str]:
    """The certificates of a PEM chain, each as PEM."""
    end = "-----END CERTIFICATE-----\n"
    return [f"{piece}{end}" for piece in chain.split(end) if piece.strip()]
