"""People by OpenID Connect: a bearer token of their issuer, verified here; what nobody granted them is refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from bottega.core.canonical import digest_bytes
from bottega.core.errors import BottegaError, InvalidValue, PolicyDenied, TransferFailed, Unauthenticated
from bottega.core.value import JsonObject, Value
from bottega.governance.fetching import Fetcher, Fetching
from bottega.service.keys import ApiKey, Role, hashed
from bottega.service.projects import Projects, paying

if TYPE_CHECKING:
    from joserfc import jwk, jwt

KNOWN = "/.well-known/openid-configuration"  # OpenID Connect Discovery 1.0, section 4
ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
AGED = 3600.0  # seconds after which the issuer's keys are fetched anew
TRUSTED = 30.0  # seconds that a verified token is not verified again
MOST_TOKENS = 10_000


class Granted(Value, frozen=True):
    """A role for those in whose claim ``value`` stands; "*" is everybody whom the issuer knows."""

    value: str = Field(min_length=1)
    role: Role
    project: str = Field(default="", description="where it counts; empty: on the whole server")
    labels: tuple[str, ...] = ()


class Oidc(Value, frozen=True):
    """One issuer, and what its people may."""

    issuer: str = Field(description="exactly as it stands in its tokens")
    audience: str = Field(min_length=1, description="who the tokens must be for")
    jwks: str = Field(default="", description="URL or file of its keys; empty: by discovery")
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    claim: str = Field(default="groups", description="holds a text or a list; a.b is b inside a")
    name: str = Field(default="sub", description="claim that names the person in the record")
    again: float = Field(
        default=30.0, ge=1, description="seconds before an unknown key makes us ask the issuer again"
    )
    leeway: int = Field(default=30, ge=0, le=300, description="seconds that clocks may differ")
    grants: tuple[Granted, ...] = ()
    fetch: Fetching = Fetching()

    @model_validator(mode="after")
    def _checked(self) -> "Oidc":
        if wrong := set(self.algorithms) - set(ASYMMETRIC):
            raise ValueError(
                f"not allowed: {', '.join(sorted(wrong))}; the issuer's key would have to be a secret of ours"
            )
        return self


@dataclass
class People:
    """Verifies tokens. The issuer's keys are fetched through the guard, and kept while it cannot be reached."""

    oidc: Oidc
    projects: Projects
    _keys: "jwk.KeySet | None" = None
    _at: float = 0.0
    _known: dict[str, tuple[float, Mapping[str, Any]]] = field(
        default_factory=dict[str, tuple[float, Mapping[str, Any]]]
    )

    def person(self, token: str, project: str = "") -> ApiKey:
        """Who sends a token, as what, in a project.

        Args:
            token: a JWT of the issuer's.
            project: where the person acts; needed when there are several.

        Raises:
            Unauthenticated: the token does not hold: signature, issuer, audience or time.
            PolicyDenied: nobody granted this person anything there.
            TransferFailed: the issuer's keys cannot be fetched, and there are none from before.
        """
        claims = self._claims(token)
        said = _at(claims, self.oidc.claim)
        values: set[str] = {said} if isinstance(said, str) else {str(each) for each in said or ()}
        able = [each for each in self.oidc.grants if each.value == "*" or each.value in values]
        if project:
            able = [each for each in able if each.project == project]
        places = dict.fromkeys(each.project for each in able)
        given = str(claims.get(self.oidc.name, ""))
        name = _named(given) if given else ""
        if not able or not name:
            raise PolicyDenied(
                f"nobody has granted '{name}' anything{f' in {project!r}' if project else ''}", where="authorization",
                remedy=f"the operator decides by the claim '{self.oidc.claim}'",
            )  # fmt: skip
        if len(places) > 1:
            named = ", ".join(each or "the whole server" for each in places)
            raise PolicyDenied(
                f"it is not clear where '{name}' acts: {named}",
                where="openai-project",
                remedy="name one: OpenAI-Project",
            )
        granted = able[0]  # the first that the operator wrote
        told = {"name": name, "role": granted.role, "project": granted.project, "labels": [*granted.labels]}
        return person_of(told, self.projects)

    def _claims(self, token: str) -> Mapping[str, Any]:
        from joserfc import jwt  # only who configures an issuer pays for it at the start
        from joserfc.errors import JoseError

        name, now = hashed(token), monotonic()
        at, known = self._known.get(name, (0.0, None))
        if known is not None and now - at < TRUSTED and float(known["exp"]) > time() - self.oidc.leeway:
            return known
        try:
            made = self._decoded(token)
            wanted = {"iss": {"essential": True, "value": self.oidc.issuer}, "exp": {"essential": True},
                      "aud": {"essential": True, "value": self.oidc.audience}, "sub": {"essential": True}}  # fmt: skip
            registry: Any = jwt.JWTClaimsRegistry(leeway=self.oidc.leeway, **wanted)  # pyright: ignore[reportArgumentType]
            registry.validate(made.claims)
        except (JoseError, ValueError, TypeError) as error:
            raise Unauthenticated(
                f"this token does not hold: {type(error).__name__}",
                where="authorization",
                remedy="sign in again",
            ) from error
        if len(self._known) >= MOST_TOKENS:
            self._known.clear()
        self._known[name] = (now, made.claims)
        return made.claims

    def _decoded(self, token: str) -> "jwt.Token":
        from joserfc import jwt
        from joserfc.errors import JoseError

        keys = self._issued()
        try:
            return jwt.decode(token, keys, algorithms=[*self.oidc.algorithms])
        except (JoseError, ValueError):
            if monotonic() - self._at < self.oidc.again:
                raise
            return jwt.decode(token, self._issued(anew=True), algorithms=[*self.oidc.algorithms])

    def _issued(self, *, anew: bool = False) -> "jwk.KeySet":
        if self._keys is None or anew or monotonic() - self._at > AGED:
            try:
                self._keys = self._fetched()
            except BottegaError:
                if self._keys is None:
                    raise
            self._at = monotonic()
        return self._keys

    def _fetched(self) -> "jwk.KeySet":
        at = self.oidc.jwks
        if at and "://" not in at:
            data = Path(at).read_bytes()
        else:
            host = urlsplit(self.oidc.issuer).hostname or ""
            policy = self.oidc.fetch
            fetcher = Fetcher(policy if policy.hosts else policy.model_copy(update={"hosts": (host,)}))
            if not at:
                found = _json(fetcher.fetch(self.oidc.issuer.rstrip("/") + KNOWN, "oidc.issuer").data)
                if found.get("issuer") != self.oidc.issuer:
                    raise InvalidValue("the issuer calls itself something else", where="oidc.issuer")
                at = str(found.get("jwks_uri", ""))
            data = fetcher.fetch(at, "oidc.jwks").data
        keys = [each for each in _json(data).get("keys", ()) if each.get("kty") in ("RSA", "EC", "OKP")]
        if not keys:
            raise TransferFailed("the issuer has no key that could be used", where="oidc.jwks")
        from joserfc import jwk

        return jwk.KeySet.import_key_set({"keys": keys})


def _named(given: str) -> str:
    """A name for the record; one that had to be changed for it keeps apart from every other by a digest."""
    name = "".join(c if c.isalnum() or c in "-_.@" else "-" for c in given)
    return name if name == given and len(name) <= 64 else f"{name[:51]}-{digest_bytes(given.encode())[:12]}"


def granted_to(person: ApiKey) -> JsonObject:
    """What a person's token grants, to be kept for work that goes on without it."""
    return {"name": person.name, "role": person.role, "project": person.project, "labels": [*person.labels]}


def person_of(told: Mapping[str, Any], projects: Projects) -> ApiKey:
    """A person as `granted_to` tells.

    Raises:
        PolicyDenied: the project is closed.
    """
    project = str(told["project"])
    team = projects.open(project).team if project else ""
    return ApiKey(
        "", told["name"], told["role"], paying((), project, team), project=project, labels=tuple(told["labels"]),
        kind="user",
    )  # fmt: skip


def _json(data: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(data)
    except ValueError as error:
        raise TransferFailed("the issuer's answer is not JSON", where="oidc") from error
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def _at(claims: Mapping[str, Any], path: str) -> Any:
    found: Any = claims
    for piece in path.split("."):
        found = cast(Mapping[str, Any], found).get(piece) if isinstance(found, Mapping) else None
    return found
