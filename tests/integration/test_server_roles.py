"""Every route with every role, and with keys that are missing, foreign, expired or revoked."""

from collections.abc import Iterator
from typing import get_args

import httpx
import pytest
from tests.serving import Server

from bottega.server.access import ROLES
from bottega.server.routes import Route
from bottega.server.table import TABLE
from bottega.service.keys import Role

GUARDED = [route for route in TABLE if route.grant is not None]
OPEN = {"/health/live", "/health/ready", "/openapi.json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    assert made.stop() == 0


@pytest.fixture(scope="module")
def secrets(server: Server) -> dict[str, str]:
    return {role: server.make_key(f"{role}-of-tests", role) for role in get_args(Role)}


def asked(client: httpx.Client, route: Route) -> httpx.Response:
    """A request that is wrong in all but its path and method, so that nothing happens."""
    path = "/".join("none" if piece.startswith("{") else piece for piece in route.path.split("/"))
    return client.request(route.method, path, content=b"{" if route.method in ("POST", "PUT") else None)


def test_what_is_open_to_anybody_is_this_and_no_more(server: Server) -> None:
    assert {route.path for route in TABLE if route.grant is None} == OPEN
    with server.client("") as client:
        for path in OPEN:
            assert client.get(path).status_code == 200


@pytest.mark.parametrize("role", get_args(Role))
def test_a_role_gets_what_it_is_granted_and_else_the_reason(
    server: Server, secrets: dict[str, str], role: Role
) -> None:
    with server.client(secrets[role]) as client:
        for route in GUARDED:
            answer = asked(client, route)
            if route.grant in ROLES[role]:
                assert answer.status_code not in (401, 403) and answer.status_code < 500, (route, answer.text)
            else:
                assert answer.status_code == 403, (route.method, route.path, answer.text)
                assert str(route.grant) in answer.text and role in answer.text


def test_without_a_key_that_may_be_used_there_is_nothing(server: Server, secrets: dict[str, str]) -> None:
    with server.client() as admin:
        admin.delete("/v1/keys/viewer-of-tests").raise_for_status()
    for secret in ("", "btg_wrong", "sk-of-somebody-else"):
        with server.client(secret) as client:
            for route in GUARDED:
                answer = asked(client, route)
                assert answer.status_code == 401, (route.method, route.path)
                said = answer.json()["error"]
                assert said["type"] == "authentication_error" or route.dialect == "anthropic"


def test_a_route_asks_for_a_grant_that_somebody_has() -> None:
    granted = {grant for grants in ROLES.values() for grant in grants}
    assert {route.grant for route in GUARDED} <= granted
    assert ROLES["viewer"] < ROLES["admin"] and "reviews:decide" not in ROLES["developer"]
