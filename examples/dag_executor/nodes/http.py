"""HTTP nodes: real requests, one after the other, over one shared client.

A 5xx or 429 answer or a lost connection fails the attempt and may be tried again; any other 4xx answer is counted and
the node goes on. What was sent and received until a failure is carried on the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from examples.dag_executor.executor import NodeCall
from examples.dag_executor.results import HttpUse, NodeCancelled, NodeError, NodeResult, NodeTimeout

RETRYABLE_STATUS = frozenset({429, 500, 502, 503, 504})


class HttpNode:
    """Sends the `requests` of the node's config, each `{"method", "path", "body_bytes"}`; paths filled from inputs."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx.Client(base_url=base_url, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def __call__(self, call: NodeCall) -> NodeResult:
        use = HttpUse()
        statuses: list[int] = []
        for spec in call.node.config["requests"]:
            if call.cancel.is_set():
                raise NodeCancelled("cancelled between two requests", result=NodeResult(http=use))
            request = self._request(call, spec)
            use = replace(use, requests=use.requests + 1, bytes_out=use.bytes_out + len(request.content))
            try:
                response = self._client.send(request)
            except httpx.TimeoutException as error:
                message = f"{request.url.path} did not answer within {call.node.timeout_seconds} s"
                raise NodeTimeout(message, result=NodeResult(http=use), retryable=True) from error
            except httpx.TransportError as error:
                raise NodeError(str(error), result=NodeResult(http=use), retryable=True) from error
            failed = response.status_code >= 400
            use = replace(use, bytes_in=use.bytes_in + len(response.content), errors=use.errors + int(failed))
            statuses.append(response.status_code)
            if response.status_code in RETRYABLE_STATUS:
                message = f"{request.url.path} answered {response.status_code}"
                raise NodeError(message, result=NodeResult(http=use), retryable=True)
        return NodeResult(output={"statuses": statuses, "bytes": use.bytes_in}, http=use)

    def _request(self, call: NodeCall, spec: Mapping[str, Any]) -> httpx.Request:
        path = str(spec["path"]).format_map(call.run.inputs)
        body_bytes = int(spec.get("body_bytes", 0))
        return self._client.build_request(
            spec.get("method", "GET"),
            path,
            content=b"x" * body_bytes if body_bytes else None,
            headers={"x-client-request-id": f"{call.run.run_id}/{call.node.id}"},
            timeout=call.node.timeout_seconds,
        )
