"""The OpenAPI document, made from the table of routes: what it says is what the server does."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bottega.server.routes import Route

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
REFUSAL = {  # as Anthropic's clients know it
    "type": "object",
    "required": ["type", "error"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        },
    },
}
PLACE = "#/components/schemas/{name}"
TOLD = {400: "a field is wrong", 401: "no key that may be used", 403: "not granted", 404: "not found",
        409: "conflict", 413: "too large", 422: "it cannot be done as asked", 429: "too often, or too many wait",
        402: "a budget is used up", 499: "the client has gone", 500: "a bug", 502: "an engine failed",
        503: "something is not installed, or busy", 507: "the disk is full"}  # fmt: skip


def described(table: Sequence[Route]) -> dict[str, Any]:
    """The whole document (OpenAPI 3.1)."""
    shapes = [
        shape
        for route in table
        for shape in (route.body, route.form, route.gives, route.begins)
        if shape is not None
    ]
    values: list[type[BaseModel]] = []

    def value(kind: type) -> dict[str, Any]:
        """A value of ours, which pydantic describes."""
        if not issubclass(kind, BaseModel):
            raise NotImplementedError
        values.append(kind)
        return {"$ref": PLACE.format(name=kind.__name__)}

    schemas, components = msgspec.json.schema_components(
        shapes, ref_template=PLACE.format(name="{name}"), schema_hook=value
    )
    by_shape = dict(zip(map(id, shapes), schemas, strict=True))
    _, told = models_json_schema(
        [(kind, "serialization") for kind in {*values}], ref_template=PLACE.format(name="{model}")
    )
    opened = {name: {**each, "additionalProperties": True} for name, each in told.get("$defs", {}).items()}
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        operation = _operation(route, by_shape, components)
        paths.setdefault(route.path.replace("{*", "{"), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bottega", "version": version("bottega"), "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": {**components, **opened, "Error": ERROR, "Refusal": REFUSAL},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, by_shape: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    shape = {"schema": by_shape[id(route.gives)]} if route.gives is not None else {}
    content = {route.answer: shape, **{kind: {} for kind in route.also}}
    answers: dict[str, Any] = {str(route.status): {"description": "done", "content": content}}
    if route.begins is not None:
        content = {"application/json": {"schema": by_shape[id(route.begins)]}}
        answers["202"] = {"description": "it goes on", "content": content}
    for code in sorted({*TOLD, 405} - (set[int]() if route.grant else {401, 403})):
        shape = {"$ref": PLACE.format(name="Refusal" if route.dialect else "Error")}
        answers[str(code)] = {
            "description": TOLD.get(code, "other methods are known here"),
            "content": {"application/json": {"schema": shape}},
        }
    names = [piece.strip("{*}") for piece in route.path.split("/") if piece.startswith("{")]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in names
    ]
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query]
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}{route.path.replace('/', '_').replace('{', '').replace('}', '').replace('*', '')}",
        "parameters": parameters,
        "responses": answers,
    }
    if route.grant:
        operation["security"] = [{"key": []}]
        operation["x-grant"] = route.grant
    content = dict[str, Any]()
    if route.body is not None:
        content["application/json"] = {"schema": by_shape[id(route.body)]}
    if route.form is not None:
        fields = components[by_shape[id(route.form)]["$ref"].rpartition("/")[2]]
        files = {name.strip("?"): {"type": "string", "format": "binary"} for name in route.uploads}
        needed = [*fields.get("required", ()), *(name for name in route.uploads if not name.endswith("?"))]
        whole = {**fields, "required": needed, "properties": {**fields["properties"], **files}}
        content["multipart/form-data"] = {"schema": whole}
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    return operation
