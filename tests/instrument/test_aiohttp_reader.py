"""What lay in aiohttp's reader before the tap had it: whole answers that came with their head."""

from __future__ import annotations

import asyncio

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from taximeter.instrument.aiohttp_reader import Feed, filtered
from taximeter.instrument.exchange import Exchange
from taximeter.instrument.policy import Asked, Policy

SAID = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"


async def _read(chunks: list[bytes], early: int, *, ended_early: bool) -> tuple[bytes, list[bytes], Exchange]:
    reader = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16, loop=asyncio.get_running_loop())
    exchange = Exchange(Policy(), Asked("POST", "gateway.test", None, "/v1/chat/completions"))
    exchange.forced = True
    exchange.answered(200, [("Content-Type", "text/event-stream")])
    feed = Feed(exchange)

    def put(chunk: bytes, seen: bytes) -> None:
        reader.begin_http_chunk_receiving()
        reader.feed_data(seen, len(seen))
        reader.end_http_chunk_receiving()

    for chunk in chunks[:early]:
        put(chunk, chunk)
    if ended_early:
        reader.feed_eof()
    filtered(reader, feed)
    if not ended_early:
        for chunk in chunks[early:]:
            put(chunk, feed.take(reader, chunk))
        rest = exchange.rest()
        reader.feed_data(rest, len(rest))
        reader.feed_eof()
    seen = []
    while True:
        data, _ = await reader.readchunk()
        if not data and reader.at_eof():
            break
        seen.append(data)
    return b"".join(seen), [data for data in seen if data], exchange


@given(
    st.lists(st.sampled_from([SAID, USAGE, DONE, USAGE[:9], SAID[:60]]), max_size=8), st.integers(0, 8), st.booleans()
)
def test_what_came_early_is_hidden_and_counted_alike(chunks: list[bytes], early: int, ended: bool) -> None:
    """However much came with the head, the caller sees the same bytes, and all of them were counted."""
    early = len(chunks) if ended else min(early, len(chunks))
    seen, _, exchange = asyncio.run(_read(chunks, early, ended_early=ended))
    late, _, _ = asyncio.run(_read(chunks, 0, ended_early=False))
    assert seen == late
    assert exchange._bytes_in == sum(map(len, chunks))


def test_the_ends_of_chunks_move_with_what_is_hidden() -> None:
    """The caller of `readchunk` gets the chunks that the server sent, without the hidden one."""
    _, pieces, _ = asyncio.run(_read([SAID, USAGE, SAID + DONE], 3, ended_early=True))
    assert pieces == [SAID, SAID + DONE]
