"""Code, HTTP and plugin nodes on real processes and real sockets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from threading import Event, Thread
from typing import Any

import pytest
from examples.dag_executor.executor import NodeCall
from examples.dag_executor.nodes.code import CodeNode
from examples.dag_executor.nodes.http import HttpNode
from examples.dag_executor.nodes.plugin import PluginNode
from examples.dag_executor.results import (
    HttpUse,
    MemoryBreach,
    NodeCancelled,
    NodeError,
    NodeResult,
    NodeTimeout,
    PluginUse,
)
from examples.dag_executor.stub_web import StubWeb
from examples.dag_executor.workflow import NodeSpec, RunRequest, Workflow

MEBIBYTE = 1 << 20


def node_call(config: dict[str, Any], inputs: dict[str, Any] | None = None, **limits: Any) -> NodeCall:
    node = NodeSpec("n", "t", config=config, **limits)
    return NodeCall(RunRequest("r", Workflow("w", (node,)), "acme", inputs=inputs or {}), node, 1, {}, Event())


def run_code(source: str, inputs: dict[str, Any] | None = None, **limits: Any) -> NodeResult:
    return CodeNode()(node_call({"source": source}, inputs, **limits))


def test_code_measures_its_own_memory() -> None:
    """CPU and peak memory are the code's own: this process's memory, however large, does not show in them."""
    ballast = bytearray(os.urandom(1)) * (200 * MEBIBYTE)
    result = run_code("print(sum(range(inputs['n'])))", {"n": 100_000})
    assert result.output == 4999950000
    assert result.code is not None
    assert result.code.cpu_us > 0
    assert MEBIBYTE < result.code.max_rss_bytes < 100 * MEBIBYTE < len(ballast)


def test_code_that_uses_memory_shows_it() -> None:
    """Memory that is touched is measured."""
    result = run_code("x = b'a' * (64 << 20); print(len(x))")
    assert result.code is not None
    assert result.code.max_rss_bytes > 64 * MEBIBYTE


def test_code_timeout() -> None:
    """Code that runs on is ended at the deadline and reports the CPU time it burnt."""
    with pytest.raises(NodeTimeout) as caught:
        run_code("while True: pass", timeout_seconds=0.3)
    assert caught.value.result.code is not None
    assert caught.value.result.code.cpu_us > 0


def test_code_timeout_while_flooding_its_output() -> None:
    """A flood of output delays no deadline and fills no memory."""
    with pytest.raises(NodeTimeout):
        run_code("while True: print('x' * 65536)", timeout_seconds=0.3)


def test_code_memory_breach() -> None:
    """Code that passes its ceiling is told apart from other failures, and its use is kept."""
    with pytest.raises(MemoryBreach) as caught:
        run_code("x = [bytearray(16 << 20) for _ in range(64)]", memory_limit_bytes=256 * MEBIBYTE)
    assert caught.value.result.code is not None
    assert caught.value.result.code.max_rss_bytes > 0
    assert not caught.value.retryable


def test_code_that_raises() -> None:
    """The source's own error is an error of the node, with its text."""
    with pytest.raises(NodeError, match="ValueError: no such row"):
        run_code("raise ValueError('no such row')")


def test_code_cancel_leaves_no_process() -> None:
    """Cancelling ends the code and whatever it has started; its use so far is kept."""
    source = "import os, time\nos.fork()\nopen(inputs['pids'], 'a').write(f'{os.getpid()} ')\ntime.sleep(600)"
    reader, writer = os.pipe()
    call = node_call({"source": source}, {"pids": f"/proc/{os.getpid()}/fd/{writer}"}, timeout_seconds=60)
    pids: list[bytes] = []

    def cancel_once_both_run() -> None:
        said = b""
        while said.count(b" ") < 2:
            said += os.read(reader, 100)
        pids.extend(said.split())
        call.cancel.set()

    watcher = Thread(target=cancel_once_both_run)
    watcher.start()
    with pytest.raises(NodeCancelled) as caught:
        CodeNode()(call)
    watcher.join()
    os.close(reader)
    os.close(writer)
    assert caught.value.result.code is not None
    for pid in map(int, pids):
        while is_running(pid):  # a killed process takes a moment to be gone; pytest's own timeout bounds this
            time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  # procfs, not a path of ours
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def web() -> Iterator[StubWeb]:
    with StubWeb() as web:
        yield web


def test_http_counts_requests_and_bodies(web: StubWeb) -> None:
    """Requests, body bytes both ways and 4xx answers are counted; a 404 does not fail the node."""
    config = {
        "requests": [
            {"path": "/json?bytes={size}"},
            {"path": "/status/404"},
            {"method": "POST", "path": "/json?bytes=100", "body_bytes": 300},
        ]
    }
    with closing(HttpNode(web.url)) as http:
        result = http(node_call(config, {"size": 5000}))
    assert result.output["statuses"] == [200, 404, 200]
    assert result.http == HttpUse(requests=3, bytes_out=300, bytes_in=5100 + len('{"status": 404}'), errors=1)


def test_http_500_fails_with_its_use(web: StubWeb) -> None:
    """A 500 may be retried and carries what was used; the same node succeeds once the server does."""
    call = node_call({"requests": [{"path": "/json?bytes=50"}, {"path": "/status/500?times=1"}]})
    with closing(HttpNode(web.url)) as http:
        with pytest.raises(NodeError, match="answered 500") as caught:
            http(call)
        assert caught.value.retryable
        assert caught.value.result.http == HttpUse(2, 0, 50 + len('{"status": 500}'), 1)
        assert http(call).output["statuses"] == [200, 200]


def test_http_timeout(web: StubWeb) -> None:
    """A page that hangs is a timeout; closing the server does not wait for it."""
    with closing(HttpNode(web.url)) as http, pytest.raises(NodeTimeout) as caught:
        http(node_call({"requests": [{"path": "/slow?seconds=600"}]}, timeout_seconds=0.2))
    assert caught.value.result.http == HttpUse(requests=1)


def test_plugins_count_in_their_own_units() -> None:
    """Units are exact decimals, fractions too."""
    pages = PluginNode()(node_call({"plugin": "pdf"}, {"document": "x" * 3601}))
    assert pages.plugin == PluginUse("pdf", 1, {"pages": Decimal(3)})
    looked = PluginNode()(node_call({"plugin": "geocode"}, {"addresses": ["Elm Street 1", "Elm Street", "Oak 7"]}))
    assert looked.plugin == PluginUse("geocode", 3, {"lookups": Decimal(3), "credits": Decimal("2.75")})
    with pytest.raises(NodeError, match="no plugin is called ocr; there are: geocode, pdf"):
        PluginNode()(node_call({"plugin": "ocr"}))
