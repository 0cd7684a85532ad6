"""The page at the API's address: every operation, its parameters and a line to try it with.

It is made on the server from the same description that programs read at ``swagger.json``. It needs no script and
nothing from elsewhere, and its policy allows neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_FOLDER = Path(__file__).parent / "templates"
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_METHODS = ("get", "post", "patch", "delete")


def add_page(app: FastAPI) -> None:
    """Serve the page at the application's root, and its style sheet."""

    def page(request: Request) -> Response:
        """The page."""
        base = f"{request.url.scheme}://{request.url.netloc}{request.scope['root_path']}"
        text = _template().render(api=app.openapi(), groups=_groups(app.openapi()), base=base)
        return HTMLResponse(text, headers={"Content-Security-Policy": _POLICY})

    def style() -> Response:
        """Its style sheet."""
        return Response((_FOLDER / "style.css").read_text(encoding="utf-8"), media_type="text/css")

    app.add_api_route("/", page, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/style.css", style, include_in_schema=False)


@lru_cache(maxsize=1)
def _template() -> Any:
    loader = FileSystemLoader(_FOLDER)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("index.html")


def _groups(api: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The operations by their first tag, in the order of the description."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, methods in api["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                shown = {
                    "path": path,
                    "method": method.upper(),
                    "text": operation.get("description", ""),
                    "parameters": operation.get("parameters", []),
                    "fields": list(_fields(api, operation)),
                    "by_owner": operation["tags"][0] == "own aliases",
                }
                found.setdefault(operation["tags"][0], []).append(shown)
    return found


def _fields(api: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The fields of a request's body."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = _named(api, content.get("schema", {}))
    for name, field in schema.get("properties", {}).items():
        yield {
            "name": name,
            "type": _type(field),
            "needed": name in schema.get("required", ()),
            "text": field.get("description", ""),
        }


def _named(api: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    for choice in (schema, *schema.get("anyOf", ())):
        if "$ref" in choice:
            name = choice["$ref"].rpartition("/")[2]
            found: Mapping[str, Any] = api["components"]["schemas"][name]
            return found
    return schema


def _type(field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if "enum" in field:
        return " or ".join(map(str, field["enum"]))
    kind = str(field.get("format") or field.get("type", ""))
    return f"list of {_type(field['items'])}" if kind == "array" else kind
