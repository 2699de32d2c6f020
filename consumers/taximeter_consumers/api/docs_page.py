"""`/docs`: the routes and the refusals on one plain page, from the OpenAPI document. It loads nothing from anywhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import HTMLResponse

from taximeter_consumers.api.curl_line import curl_line
from taximeter_consumers.api.problems import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request

_STYLE: Final = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code{font-family:ui-monospace,monospace}h2{margin-top:2.5rem;border-bottom:1px solid #8884}
table{border-collapse:collapse}
td,th{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}.how{font-weight:600}pre{white-space:pre-wrap}
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


async def page(request: Request) -> HTMLResponse:
    """The page."""
    document = request.app.openapi()
    return HTMLResponse(rendered(document), headers={"Content-Security-Policy": _POLICY})


def rendered(document: Mapping[str, Any]) -> str:
    """The page of a document. Pure."""
    info = document["info"]
    routes = "".join(
        _route(document, path, method, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    kinds = "".join(
        f'<tr id="{slug}"><td><code>{slug}</code></td><td>{status}</td><td>{escape(title)}</td></tr>'
        for slug, (status, title) in KINDS.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style><h1>{escape(info['title'])} API</h1>"
        f"<p>{escape(info['description'])}</p>"
        f'<p>The whole of it for machines: <a href="/openapi.json">openapi.json</a>.</p>{routes}'
        f"<h2>Refusals</h2><table><tr><th>type</th><th>status</th><th>what it is</th></tr>{kinds}</table></html>"
    )


def _route(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> str:
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
        f"<table>{''.join(_parameters(operation.get('parameters', ())))}</table>"
        f"<pre><code>{escape(curl_line(document, path, method))}</code></pre>"
    )


def _parameters(parameters: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for one in parameters:
        needed = "needed" if one.get("required") else ""
        yield (
            f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])} {needed}</td>"
            f"<td>{escape(one.get('description', ''))}</td></tr>"
        )
