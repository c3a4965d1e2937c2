"""Projects, teams and people: who may do what where, by keys and by tokens of a real issuer that the test starts."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import pytest
from joserfc import jwk, jwt
from tests.serving import Server

HELLO = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}


class Issuer(BaseHTTPRequestHandler):
    """OpenID Connect discovery and a key set; signs with keys that only it has."""

    keys: ClassVar[list[Any]] = []
    url: ClassVar[str] = ""

    def do_GET(self) -> None:
        if self.path.startswith("/.well-known/"):
            told: Any = {"issuer": Issuer.url, "jwks_uri": f"{Issuer.url}/keys"}
        else:
            told = {"keys": [key.as_dict(private=False) for key in Issuer.keys]}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    @classmethod
    def token(cls, name: str, groups: list[str], key: Any = None, alg: str = "ES256", **claims: Any) -> str:
        key, now = key or cls.keys[-1], int(time.time())
        said = {"iss": cls.url, "aud": "bottega", "sub": name, "exp": now + 300, "groups": groups, **claims}
        return jwt.encode(
            {"alg": alg, "kid": key.kid},
            {k: v for k, v in said.items() if v is not None},
            key,
            algorithms=[alg],
        )


def signing_key(kid: str) -> Any:
    return jwk.ECKey.generate_key("P-256", {"kid": kid}, private=True)


@pytest.fixture(scope="module")
def issuer() -> Iterator[type[Issuer]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    Issuer.url, Issuer.keys = f"http://127.0.0.1:{server.server_port}", [signing_key("one")]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Issuer
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, issuer: type[Issuer]) -> Iterator[Server]:
    config = f"""
[oidc]
issuer = "{issuer.url}"
audience = "bottega"
again = 1.0
fetch = {{ private = ["127.0.0.1/32"], plain = true, ports = [{issuer.url.rpartition(":")[2]}] }}
grants = [
  {{ value = "ops", role = "admin" }},
  {{ value = "kettle-makers", role = "developer", project = "kettles" }},
  {{ value = "kettle-leads", role = "admin", project = "kettles" }},
  {{ value = "lamp-makers", role = "developer", project = "lamps" }},
]
"""
    made = Server(tmp_path_factory.mktemp("server"), config=config)
    with made.client() as admin:
        for project, team in (("kettles", "home"), ("lamps", "home"), ("old", "")):
            admin.put(f"/v1/projects/{project}", json={"team": team}).raise_for_status()
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log() and "eyJ" not in made.log()


def answered(server: Server, token: str, project: str = "") -> httpx.Response:
    with server.client(
        token,
    ) as client:
        return client.get("/v1/models", headers={"OpenAI-Project": project} if project else {})


def test_budgets_of_project_and_team_pay_for_a_key(server: Server) -> None:
    secrets = {name: server.make_key(name, project=name) for name in ("kettles", "lamps")}
    with server.client() as admin:
        for secret in secrets.values():
            with server.client(secret) as client:
                assert client.post("/v1/chat/completions", json=HELLO).status_code == 200
        spent = {row["account"]: float(row["spent"]) for row in admin.get("/v1/budgets").json()["data"]
                 if row["unit"] == "compute_second"}  # fmt: skip
        assert spent["team:home"] == pytest.approx(spent["project:kettles"] + spent["project:lamps"])
        admin.put(
            "/v1/budgets/team:home", json={"unit": "compute_second", "limit": 0.000001}
        ).raise_for_status()
        with server.client(secrets["lamps"]) as client:
            refused = client.post("/v1/chat/completions", json=HELLO)
            assert refused.status_code == 402 and "team:home" in refused.text
            assert {row["account"] for row in client.get("/v1/budgets").json()["data"]} == {
                "project:lamps",
                "team:home",
            }
        admin.put("/v1/budgets/team:home", json={"unit": "compute_second", "limit": None}).raise_for_status()


def test_a_role_in_a_project_ends_at_its_border(server: Server) -> None:
    lead, other = server.make_key("lead", "admin", project="kettles"), server.make_key("app", project="lamps")
    mine = server.make_key("app", project="kettles")  # the same name as in the other project: another actor
    steps = [{"id": "s", "engine": "compose", "params": {"template": "Done.\n"}, "path": "s.md"}]
    runs: dict[str, str] = {}
    for secret in (mine, other):
        with server.client(secret) as client:
            file = client.post("/v1/files", files={"file": ("a.txt", b"words to write from")}).json()["id"]
            brief = {"goal": "say done", "sources": [file], "steps": steps}
            runs[secret] = client.post("/v1/runs", json={"brief": brief}).json()["id"]
    with server.client(lead) as client:
        assert client.get(f"/v1/runs/{runs[mine]}").status_code == 200
        assert client.get(f"/v1/runs/{runs[other]}").status_code == 404
        assert runs[other] not in client.get("/v1/runs").text
        for method, path in (("GET", "/v1/audit"), ("GET", "/v1/metrics"), ("PUT", "/v1/budgets/team:home"),
                             ("GET", "/v1/projects"), ("PUT", "/v1/projects/lamps")):  # fmt: skip
            answer = client.request(
                method, path.replace("/v1/metrics", "/metrics"), json={"unit": "token", "limit": 1}
            )
            assert answer.status_code == 403 and "whole server" in answer.text, path
        names = {(row["name"], row["project"]) for row in client.get("/v1/keys").json()["data"]}
        assert {project for _, project in names} == {"kettles"}
        assert client.post("/v1/keys", json={"name": "x", "project": "lamps"}).status_code == 403
        assert client.post("/v1/keys", json={"name": "x", "role": "admin"}).status_code == 403
        assert (
            client.post(
                "/v1/keys", json={"name": "x", "project": "kettles", "charge": ["team:other"]}
            ).status_code
            == 403
        )
        assert client.post("/v1/keys", json={"name": "x", "project": "kettles"}).status_code == 201
        assert client.delete("/v1/keys/lamps").status_code == 404
    with server.client(other) as client:
        assert client.get(f"/v1/runs/{runs[mine]}").status_code == 404
        assert len(client.get("/v1/files").json()["data"]) == 1


def test_a_closed_project_refuses_its_keys(server: Server) -> None:
    secret = server.make_key("old", project="old")
    with server.client() as admin:
        assert answered(server, secret).status_code == 200
        admin.put("/v1/projects/old", json={"closed": True}).raise_for_status()
        assert admin.post("/v1/keys", json={"name": "x", "project": "old"}).status_code == 403
        assert admin.post("/v1/keys", json={"name": "x", "project": "none"}).status_code == 404
    end = time.monotonic() + 20
    while (answer := answered(server, secret)).status_code != 401:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "closed project" in answer.text


def test_a_person_signs_in_and_acts_under_their_name(server: Server, issuer: type[Issuer]) -> None:
    token = issuer.token("ada@example.org", ["kettle-makers", "others"])
    with server.client(token) as client, server.client() as admin:
        answer = client.post("/v1/chat/completions", json=HELLO)
        assert answer.status_code == 200
        subject = f"run/{answer.headers['x-bottega-run-id']}"
        entries = admin.get("/v1/audit", params={"subject": subject}).json()["data"]
        assert "user:kettles/ada@example.org" in {
            entry[who] for entry in entries for who in ("actor", "behalf")
        }
        assert client.get("/v1/keys").status_code == 403
    assert answered(server, issuer.token("root", ["ops"])).status_code == 200


def test_what_a_person_begins_goes_on_without_their_token(server: Server, issuer: type[Issuer]) -> None:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": HELLO}
    with server.client(issuer.token("ada@example.org", ["kettle-makers"])) as client:
        sent = client.post("/v1/files", files={"file": ("a.jsonl", json.dumps(line).encode())}).json()["id"]
        asked = {"input_file_id": sent, "endpoint": "/v1/chat/completions"}
        late = client.post("/v1/batches", json={**asked, "completion_window": "7d"})
        assert late.status_code == 400 and late.json()["error"]["param"] == "completion_window"
        batch = client.post("/v1/batches", json=asked).json()
        begun = client.post(
            "/v1/responses", json={"model": "echo", "input": "hello", "background": True}
        ).json()
        end = time.monotonic() + 60
        while (batch := client.get(f"/v1/batches/{batch['id']}").json())["status"] != "completed":
            assert time.monotonic() < end, batch
            time.sleep(0.1)
        assert batch["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
        told = json.loads(client.get(f"/v1/files/{batch['output_file_id']}/content").text)
        while (done := client.get(f"/v1/responses/{begun['id']}").json())["status"] != "completed":
            assert time.monotonic() < end, done
            time.sleep(0.1)
    with server.client() as admin:
        entries = admin.get("/v1/audit", params={"subject": f"run/{told['response']['request_id']}"}).json()[
            "data"
        ]
        assert "user:kettles/ada@example.org" in {
            entry[who] for entry in entries for who in ("actor", "behalf")
        }
        assert admin.get(f"/v1/batches/{batch['id']}").status_code == 404


def test_names_that_look_alike_are_not_one_person(server: Server, issuer: type[Issuer]) -> None:
    groups = ["kettle-makers"]
    with server.client(issuer.token("a b", groups)) as one, server.client(issuer.token("a/b", groups)) as two:
        one.post("/v1/files", files={"file": ("a.txt", b"words")}).raise_for_status()
        assert one.get("/v1/files").json()["data"] and not two.get("/v1/files").json()["data"]


def test_who_is_in_several_projects_says_in_which(server: Server, issuer: type[Issuer]) -> None:
    token = issuer.token("bob", ["kettle-leads", "lamp-makers"])
    unclear = answered(server, token)
    assert unclear.status_code == 403 and unclear.json()["error"]["param"] == "openai-project"
    assert (
        answered(server, token, "lamps").status_code == answered(server, token, "kettles").status_code == 200
    )
    assert answered(server, token, "old").status_code == 403
    with server.client(token) as client:
        assert client.get("/v1/keys", headers={"OpenAI-Project": "kettles"}).status_code == 200
        assert client.get("/v1/keys", headers={"OpenAI-Project": "lamps"}).status_code == 403
    assert answered(server, server.make_key("of-none"), "kettles").status_code == 403


def test_a_token_that_does_not_hold_is_refused(server: Server, issuer: type[Issuer]) -> None:
    good: Any = {"name": "eve", "groups": ["ops"]}
    foreign = signing_key("one")  # the issuer's key id, another key
    header, payload, signature = issuer.token(**good).split(".")
    secret = jwk.OctKey.import_key(json.dumps(issuer.keys[0].as_dict(private=False)), {"kid": "one"})
    wrong = {
        "another key": issuer.token(**good, key=foreign), "expired": issuer.token(**good, exp=int(time.time()) - 60),
        "no expiry": issuer.token(**good, exp=None), "not yet": issuer.token(**good, nbf=int(time.time()) + 600),
        "another audience": issuer.token(**good, aud="elsewhere"), "another issuer": issuer.token(**good, iss="http://evil"),
        "no name": issuer.token(**good, sub=None), "altered": f"{header}.{payload[:-2]}xx.{signature}",
        "unsigned": f"eyJhbGciOiJub25lIn0.{payload}.", "cut": f"{header}.{payload}.", "nonsense": "a.b.c",
        "the public key as a secret": jwt.encode(
            {"alg": "HS256", "kid": "one"}, {"iss": issuer.url, "aud": "bottega", "sub": "eve", "exp": 2**31, "groups": ["ops"]},
            secret, algorithms=["HS256"],
        ),
    }  # fmt: skip
    for why, token in wrong.items():
        answer = answered(server, token)
        assert answer.status_code == 401, (why, answer.text)
    nobody = answered(server, issuer.token("mallory", ["strangers"]))
    assert nobody.status_code == 403 and "granted" in nobody.text


def test_the_issuers_keys_are_exchanged_without_a_pause(server: Server, issuer: type[Issuer]) -> None:
    """An unknown key id is asked for, at most every so often; a token of the old key holds until then."""
    old = issuer.token("ada", ["ops"])
    issuer.keys.append(signing_key("two"))
    end = time.monotonic() + 60
    while answered(server, issuer.token("ada", ["ops"])).status_code != 200:
        assert time.monotonic() < end
        assert answered(server, old).status_code == 200
        time.sleep(1)
    assert answered(server, old).status_code == 200
