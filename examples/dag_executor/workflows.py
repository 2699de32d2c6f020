"""The workflows of the demo. Texts in braces are filled from a run's inputs and from the outputs of earlier nodes."""

from __future__ import annotations

from typing import Any

from examples.dag_executor.workflow import NodeSpec, Workflow

Call = dict[str, Any]
MEBIBYTE = 1024 * 1024

HOUSE_RULES = "".join(
    f"Rule {number}: answer in plain words, name the source of every figure, and never promise a refund. "
    for number in range(1, 56)
)  # long enough (over 1,024 tokens) that the providers cache it

CHECK_TOTALS = """
import json
lines = [(len(word), position) for position, word in enumerate(inputs["document"].split())]
print(json.dumps({"lines": len(lines), "total": sum(size * position for size, position in lines)}))
"""

CRUNCH = """
import time
if inputs["hold"]:
    time.sleep(60)
print(sum(number * number for number in range(inputs["rows"])))
"""

RENDER = """
if inputs["mode"] == "timeout":
    while True:
        pass
if inputs["mode"] == "memory":
    frames = [bytearray(16 << 20) for _ in range(64)]
print(len(inputs["document"]) * 24)
"""


def call(api: str, provider: str, model: str, prompt: str, **more: Any) -> Call:
    """One model call, as an AI node's config holds it."""
    return {"api": api, "provider": provider, "model": model, "prompt": prompt, **more}


def ai(node_id: str, *calls: Call, needs: tuple[str, ...] = (), max_attempts: int = 1) -> NodeSpec:
    return NodeSpec(node_id, "ai", needs, {"calls": calls}, max_attempts)


def http(node_id: str, *requests: dict[str, Any], needs: tuple[str, ...] = (), seconds: float = 10.0) -> NodeSpec:
    return NodeSpec(node_id, "http", needs, {"requests": requests}, max_attempts=3, timeout_seconds=seconds)


SUPPORT_TRIAGE = Workflow(
    "support-triage",
    (
        ai("classify", call("chat", "openai", "gpt-4o-mini", "Sort this ticket: {ticket}", system=HOUSE_RULES)),
        ai("retrieve", call("embeddings", "openai", "text-embedding-3-small", "{ticket}")),
        http("articles", {"path": "/json?bytes={article_bytes}"}, {"path": "/status/404"}, needs=("retrieve",)),
        ai(
            "answer",
            call(
                "messages",
                "anthropic",
                "claude-sonnet-4-20250514",
                "Ticket: {ticket}\nClass: {classify}\nArticles: {articles}",
                system=HOUSE_RULES,
                stream=True,
                headers={"x-stub-fail": "{refuse}"},
            ),
            needs=("classify", "articles"),
            max_attempts=3,
        ),
    ),
)

INVOICE_EXTRACTION = Workflow(
    "invoice-extraction",
    (
        NodeSpec("pages", "plugin", config={"plugin": "pdf"}),
        ai(
            "extract",
            call("responses", "openai", "gpt-4o", "Fields of: {pages}", system=HOUSE_RULES),
            call("responses", "openai", "gpt-4o-mini", "Check these: {pages}", stream=True),
            needs=("pages",),
        ),
        NodeSpec("check", "code", ("extract",), {"source": CHECK_TOTALS}, memory_limit_bytes=512 * MEBIBYTE),
        http("deliver", {"method": "POST", "path": "/status/{deliver}", "body_bytes": 900}, needs=("check",)),
    ),
)


def research_agent(page_seconds: float = 20.0) -> Workflow:
    """Several models and pages side by side, then a report; a page is given up after `page_seconds`."""
    return Workflow(
        "research-agent",
        (
            ai("plan", call("chat", "openai", "o3-mini", "Plan how to find out: {question}")),
            ai("survey", call("chat", "openai", "gpt-4o", "{question}\n{plan}", stream=True), needs=("plan",)),
            ai(
                "critique",
                call("messages", "anthropic", "claude-3-5-haiku-20241022", "{question}\n{plan}"),
                needs=("plan",),
            ),
            ai("house_view", call("chat", "house", "house-llm-1", "{question}\n{plan}"), needs=("plan",)),
            http("crawl_news", {"path": "/{page}"}, needs=("plan",), seconds=page_seconds),
            http("crawl_papers", *({"path": "/json?bytes=20000"},) * 3, needs=("plan",)),
            ai(
                "report",
                call("responses", "openai", "gpt-4o", "{survey}\n{critique}\n{house_view}", stream=True),
                call("messages", "anthropic", "claude-sonnet-4-20250514", "Shorten: {survey}", system=HOUSE_RULES),
                needs=("survey", "critique", "house_view", "crawl_news", "crawl_papers"),
            ),
        ),
    )


NIGHTLY_REPORT = Workflow(
    "nightly-report",
    (
        NodeSpec("crunch", "code", config={"source": CRUNCH}, timeout_seconds=90),
        NodeSpec("places", "plugin", ("crunch",), {"plugin": "geocode"}),
        ai(
            "narrate",
            call("chat", "openai", "gpt-4o-mini", "Tell of {places}", stream=True, include_usage=False),
            needs=("places",),
        ),
    ),
)


def media_render(seconds: float = 20.0) -> Workflow:
    """Code under a memory ceiling, given up after `seconds`."""
    return Workflow(
        "media-render",
        (
            NodeSpec("probe", "plugin", config={"plugin": "pdf"}),
            NodeSpec(
                "render",
                "code",
                ("probe",),
                {"source": RENDER},
                timeout_seconds=seconds,
                memory_limit_bytes=256 * MEBIBYTE,
            ),
            ai(
                "caption",
                call("messages", "anthropic", "claude-3-5-haiku-20241022", "{probe}", stream=True),
                needs=("probe",),
            ),
            http(
                "publish", {"method": "PUT", "path": "/json?bytes=120", "body_bytes": 4096}, needs=("render", "caption")
            ),
        ),
    )
