import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bottega.core.errors import InvalidValue, StorageFailed
from bottega.governance.authority import Authority, local_root


def test_it_is_made_once_with_secrets_for_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "keys"
    assert local_root(folder) == ""
    first = Authority.local(folder)
    assert Authority.local(folder) == first
    assert first.root_pem() == local_root(folder)
    for name in ("root.key", "signer.pem"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["root.key", "root.pem", "signer.pem"]
    assert [path.name for path in folder.parent.iterdir()] == ["keys"], "nothing half-made is left"
    assert "PRIVATE" not in repr(first)


def test_many_at_once_agree_on_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(Authority.local, [tmp_path / "keys"] * 8))
    assert len(set(made)) == 1


def test_the_signing_certificate_is_renewed_under_the_same_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bottega.governance.authority.LEAF_YEARS", 4)
    monkeypatch.setattr("bottega.governance.authority.RENEW_BEFORE", timedelta(days=1))
    old = Authority.local(tmp_path / "keys")
    monkeypatch.undo()
    new = Authority.local(tmp_path / "keys")
    assert new != old
    assert new.root_pem() == old.root_pem()


def test_a_damaged_folder_is_said(tmp_path: Path) -> None:
    Authority.local(tmp_path / "keys")
    (tmp_path / "keys" / "signer.pem").write_text("nonsense")
    with pytest.raises(StorageFailed, match="backup"):
        Authority.local(tmp_path / "keys")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed):
        Authority.local(tmp_path / "file" / "keys")


def issued(folder: Path, *, days: int = 30, signs: bool = True, purpose: bool = True) -> tuple[Path, Path]:
    """A key and a chain as an organisation would hand them over."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    now = datetime.now(UTC)

    def certificate(name: str, mine: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        root = mine is root_key
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Acme root")]))
            .public_key(mine.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    signs and not root, False, not signs and not root, False, False, root, root, False, False
                ),
                critical=True,
            )
        )
        if purpose and not root:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(usage, critical=False)
        return builder.sign(root_key, SHA256())

    chain = certificate("Acme press", key).public_bytes(Encoding.PEM) + certificate(
        "Acme root", root_key
    ).public_bytes(Encoding.PEM)
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "key.pem", folder / "chain.pem"


def test_the_organisations_own_key_is_taken(tmp_path: Path) -> None:
    authority = Authority.given(*issued(tmp_path))
    assert (authority.name, authority.algorithm) == ("Acme press", "es384")
    assert authority.root_pem().startswith("-----BEGIN CERTIFICATE-----")
    assert authority.chain.endswith(authority.root_pem())


def test_a_key_or_certificate_that_will_not_do_is_refused_with_the_reason(tmp_path: Path) -> None:
    key, chain = issued(tmp_path)
    with pytest.raises(InvalidValue, match="cannot be read"):
        Authority.given(tmp_path / "none.pem", chain)
    with pytest.raises(InvalidValue, match="cannot be read"):
        Authority.given(key, key)
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidValue, match="does not belong"):
        Authority.given(key, issued(tmp_path / "other")[1])
    with pytest.raises(InvalidValue, match="valid until"):
        Authority.given(*issued(tmp_path, days=-1))
    with pytest.raises(InvalidValue, match="not for digital signatures"):
        Authority.given(*issued(tmp_path, signs=False))
    with pytest.raises(InvalidValue, match="lacks an extension"):
        Authority.given(*issued(tmp_path, purpose=False))
