"""Keys of the HTTP API at the command line, and what is kept of them."""

from tests.unit.cli.conftest import Cli


def test_a_key_is_told_once_and_only_its_hash_is_kept(cli: Cli) -> None:
    said = cli("keys", "create", "--name", "shop", "--charge", "project:shop", "--quiet")
    secret = said.out.strip()
    assert secret.startswith("btg_") and len(secret) > 40 and said.err == ""
    (row,) = cli("keys", "list", "--json").json
    assert (row["name"], row["role"], row["state"], row["charge"]) == (
        "shop",
        "developer",
        "active",
        ["project:shop"],
    )
    files = [path for path in (cli.root / "state").rglob("*") if path.is_file()]
    assert files and not any(secret.encode() in path.read_bytes() for path in files)
    second = cli("keys", "create", "--name", "shop", "--role", "viewer", "--expires", "2999-01-31")
    assert second.out.strip() != secret and "2999-01-31" in second.err
    cli("keys", "revoke", row["id"])
    states = {each["role"]: each["state"] for each in cli("keys", "list", "--json").json}
    assert states == {"developer": "revoked", "viewer": "active"}
    cli("audit", "verify")


def test_what_cannot_be_a_key_is_refused_by_its_field(cli: Cli) -> None:
    for option, value, where in (
        ("--name", "two words", "name"), ("--expires", "2001-01-01", "expires"), ("--expires", "soon", "expires"),
        ("--charge", "nobody", "account"),
    ):  # fmt: skip
        given = ["--name", "shop"] if option != "--name" else []
        said = cli("keys", "create", *given, option, value, expect=2)
        assert where in said.err, said.err
    assert cli("keys", "list", "--json").json == []
    assert "nobody" in cli("keys", "revoke", "nobody", expect=2).err
