"""GET /docs: the OpenAPI document as a page, without a script and without another host. It needs no key: it has no data."""

import functools
import html
from typing import Any, Final

import msgspec
from aiohttp import web

from instance_agent.gateway.openapi.document import document

_HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
details { border: 1px solid #8888; border-radius: .4rem; margin: .4rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; } table { border-collapse: collapse; } td { padding: .1rem .8rem .1rem 0; vertical-align: top; }
"""


def page_routes() -> list[web.RouteDef]:
    """Return the route of the page."""
    return [web.get("/docs", _serve)]


async def _serve(_request: web.Request) -> web.Response:
    return web.Response(body=_page(), headers=_HEADERS)


@functools.cache
def _page() -> bytes:
    found = document()
    groups: dict[str, list[str]] = {}
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            entry = _operation(method.upper(), path, operation, found["components"]["schemas"])
            groups.setdefault(operation["tags"][0], []).append(entry)
    parts = [f"<h2>{_text(tag.capitalize())}</h2>{''.join(entries)}" for tag, entries in groups.items()]
    info = found["info"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(info["title"])}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{_text(info['title'])} {_text(info['version'])}</h1>"
        f"<p>{_text(info['description'])}</p><p>For programs: <code>GET /openapi.json</code>, with a key.</p>"
        f"{''.join(parts)}</body></html>"
    ).encode()


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    parameters = [
        (f"{each['name']} ({each['in']})", each.get("description", "")) for each in operation.get("parameters", [])
    ]
    responses = [(status, each["description"]) for status, each in operation["responses"].items()]
    example = content.get("example")
    shown = "" if example is None else f"<pre>{_text(_pretty(example))}</pre>"
    return (
        f"<details><summary><code>{method} {_text(path)}</code> {_text(operation['summary'])}</summary>"
        f"<p>{_text(operation['description'])}</p>{_table(parameters)}"
        f"{_fields('Request', content, schemas)}{shown}"
        f"{_fields('Answer', next(iter(operation['responses'].values()))['content'].get('application/json', {}), schemas)}"
        f"{_table(responses)}</details>"
    )


def _fields(title: str, content: dict[str, Any], schemas: dict[str, Any]) -> str:
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    properties = schemas.get(name, {}).get("properties", {})
    if not properties:
        return ""
    required = schemas[name].get("required", ())
    names = [f"<code>{_text(field)}</code>{' (required)' if field in required else ''}" for field in properties]
    return f"<p>{title}: {', '.join(names)}</p>"


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><td><code>{_text(name)}</code></td><td>{_text(text)}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>" if rows else ""


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _text(value: str) -> str:
    return html.escape(value)
