"""Attribution across threads and tasks."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from taximeter import current_node
from taximeter.testing import RecordedMeter


def _use(tokens: int) -> None:
    current_node().ai(provider="p", model="m", input_tokens=tokens)


def _tokens(recorded: RecordedMeter) -> dict[str, int]:
    return {event.node_id: event.ai.input_tokens for event in recorded.events if event.ai}


def test_tasks_record_on_the_node_they_were_started_in(recorded: RecordedMeter) -> None:
    """Two nodes that run at once in one loop do not see each other; `asyncio.to_thread` goes along."""

    async def node_of(name: str, tokens: int) -> None:
        async with recorded.meter.run(run_id=name) as run, run.node(name):
            await asyncio.sleep(0)
            await asyncio.gather(asyncio.to_thread(_use, tokens), asyncio.create_task(_later(tokens)))

    async def _later(tokens: int) -> None:
        await asyncio.sleep(0)
        _use(tokens)

    async def main() -> None:
        await asyncio.gather(node_of("a", 1), node_of("b", 10))

    asyncio.run(main())
    assert _tokens(recorded) == {"a": 2, "b": 20}


def test_threads_record_on_the_node_whose_context_they_copy(recorded: RecordedMeter) -> None:
    """A bare thread is outside; a copied context brings the node."""
    with recorded.meter.run() as run, run.node("n"), ThreadPoolExecutor(2) as pool:
        before = recorded.meter.counters().unattributed
        pool.submit(_use, 1).result()
        assert recorded.meter.counters().unattributed == before + 1
        pool.submit(contextvars.copy_context().run, _use, 4).result()
    assert _tokens(recorded) == {"n": 4}


def test_a_cancelled_task_emits_its_node_as_cancelled(recorded: RecordedMeter) -> None:
    """Cancellation passes through the block and is told apart from an error."""

    async def main() -> None:
        started = asyncio.Event()

        async def work() -> None:
            async with recorded.meter.run() as run, run.node("n"):
                started.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await started.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    assert recorded.only().outcome == "cancelled"


def test_a_block_that_ends_in_another_context_does_no_harm(recorded: RecordedMeter) -> None:
    """A generator that is closed from elsewhere ends its node there; the other context keeps its own node."""

    async def stream() -> AsyncIterator[int]:
        with recorded.meter.run(run_id="s") as run, run.node("streamed"):
            yield 1
            yield 2

    async def main() -> None:
        numbers = stream()
        await asyncio.create_task(anext(numbers))  # type: ignore[arg-type]  # an awaitable of the async generator
        with recorded.meter.run() as run, run.node("other"):
            await numbers.aclose()  # type: ignore[attr-defined]  # an async generator has it
            _use(3)

    asyncio.run(main())
    assert _tokens(recorded) == {"other": 3}
    assert {event.node_id: event.outcome.value for event in recorded.events} == {
        "streamed": "cancelled",
        "other": "success",
    }
    assert recorded.meter.counters().hook_errors == 0


def test_several_threads_may_record_on_one_node(recorded: RecordedMeter) -> None:
    """Nothing is lost where threads race for one node."""
    with recorded.meter.run() as run, run.node("n") as node:
        gate = threading.Barrier(4)

        def work() -> None:
            gate.wait()
            for _ in range(500):
                node.ai(provider="p", model="m", input_tokens=1)
                node.http(bytes_in=1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    event = recorded.only()
    assert event.ai is not None
    assert event.http is not None
    assert (event.ai.input_tokens, event.http.requests, event.http.bytes_in) == (2000, 2000, 2000)
