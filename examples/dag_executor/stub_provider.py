"""Model providers on loopback, close enough for their own SDKs: chat completions, responses, embeddings, messages.

Token counts depend on the seed and the request alone (`stub_tokens.py`). A request with the header
`x-stub-fail: 429;times=1` is refused that often (for ever without `times`) for the same `x-client-request-id`, with the
provider's own error body. `served` counts what was answered, as the provider's own bill would.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from threading import Lock
from typing import Any

from examples.dag_executor import stub_anthropic, stub_openai
from examples.dag_executor.loopback import Answer, Loopback
from examples.dag_executor.stub_tokens import Tokens, draw

Json = dict[str, Any]

OPENAI_ERRORS = {429: ("rate_limit_exceeded", "requests"), 500: ("server_error", "server_error")}
ANTHROPIC_ERRORS = {429: "rate_limit_error", 500: "api_error"}


class StubProvider(Loopback):
    """The providers; `with StubProvider(seed=1) as provider: provider.url`."""

    def __init__(self, seed: int = 1, latency_seconds: float = 0.005) -> None:
        super().__init__(ProviderAnswer)
        self.seed = seed
        self.latency_seconds = latency_seconds
        self.served: dict[str, Counter[str]] = {}
        self.refused = 0
        self._bill = Lock()

    def note(self, model: str, tokens: Tokens) -> None:
        """Write an answered call on the bill."""
        with self._bill:
            line = self.served.setdefault(model, Counter())
            line.update({"calls": 1, "input_tokens": tokens.prompt, "output_tokens": tokens.completion})

    def note_refusal(self) -> None:
        with self._bill:
            self.refused += 1


class ProviderAnswer(Answer):
    """Answers one connection's requests."""

    server: StubProvider

    def do_POST(self) -> None:  # noqa: N802  # the name is what the base class looks for
        raw = self.body()
        request: Json = json.loads(raw)
        time.sleep(self.server.latency_seconds)
        status = self.ordered_failure()
        if status:
            self.server.note_refusal()
            self.send_json(status, refusal(self.path, status))
            return
        answer_id = f"{draw(self.server.seed, self.request_key, raw):016x}"
        answers = {
            "/v1/chat/completions": self.chat,
            "/v1/responses": self.response,
            "/v1/embeddings": self.embeddings,
            "/v1/messages": self.message,
        }
        if self.path in answers:
            answers[self.path](request, answer_id)
        else:
            self.send_json(404, {"error": {"message": f"no such path: {self.path}", "type": "invalid_request_error"}})

    def ordered_failure(self) -> int:
        """The status to refuse with, or 0."""
        order = self.headers.get("x-stub-fail", "")
        if not order:
            return 0
        status, _, times = order.partition(";times=")
        failing = not times or self.server.fails(f"{self.request_key} {order}", int(times))
        return int(status) if failing else 0

    def chat(self, request: Json, answer_id: str) -> None:
        tokens = stub_openai.chat_tokens(self.server.seed, request)
        self.server.note(request["model"], tokens)
        if request.get("stream"):
            self.send_events(stub_openai.chat_chunks(request, tokens, answer_id), named=False)
        else:
            self.send_json(200, stub_openai.chat(request, tokens, answer_id))

    def response(self, request: Json, answer_id: str) -> None:
        tokens = stub_openai.response_tokens(self.server.seed, request)
        self.server.note(request["model"], tokens)
        if request.get("stream"):
            self.send_events(stub_openai.response_events(request, tokens, answer_id), named=True)
        else:
            self.send_json(200, stub_openai.response(request, tokens, answer_id))

    def embeddings(self, request: Json, answer_id: str) -> None:  # noqa: ARG002  # embeddings have no id of their own
        answer, tokens = stub_openai.embeddings(self.server.seed, request)
        self.server.note(request["model"], tokens)
        self.send_json(200, answer)

    def message(self, request: Json, answer_id: str) -> None:
        tokens = stub_anthropic.tokens_of(self.server.seed, request)
        self.server.note(request["model"], tokens)
        if request.get("stream"):
            self.send_events(stub_anthropic.events(request, tokens, answer_id), named=True)
        else:
            self.send_json(200, stub_anthropic.message(request, tokens, answer_id))

    def send_events(self, events: Iterable[Json], *, named: bool) -> None:
        """Server-sent events in chunked encoding; OpenAI's chat stream names none and ends with [DONE]."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            name = f"event: {event['type']}\n" if named else ""
            self.send_chunk(f"{name}data: {json.dumps(event)}\n\n".encode())
        if not named:
            self.send_chunk(b"data: [DONE]\n\n")
        self.send_chunk(b"")

    def send_chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def refusal(path: str, status: int) -> Json:
    """The error body that this path's provider would send."""
    if path == "/v1/messages":
        kind = ANTHROPIC_ERRORS.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": "refused on request"}, "request_id": "req_stub"}
    code, kind = OPENAI_ERRORS.get(status, ("server_error", "server_error"))
    return {"error": {"message": "refused on request", "type": kind, "param": None, "code": code}}
