"""`python -m chaos.quota.reservers`: many callers at once that reserve, confirm, release, extend, repeat and forget.

Each is a task with the real async client; what it is about to ask and what it was told stands in a journal. They go on
until their time is over or SIGTERM, end the call in hand, and the process ends with 0.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from random import Random
from typing import Any

from chaos.quota.call_journal import CallJournal
from taximeter.quota import AsyncQuotaClient, QuotaUnavailable, Subject
from taximeter_schemas.quota.answers import Answer

TOKENS = "total_tokens"
_FORGOTTEN_SECONDS = (2, 5)
_SETTLES_WITHIN_SECONDS = 0.3
_TRIES = 2


class Reserver:
    """One caller among many."""

    def __init__(self, client: AsyncQuotaClient, journal: CallJournal, options: argparse.Namespace, name: str) -> None:
        self._client, self._journal, self._name = client, journal, name
        self._subject = Subject(account_id=options.account)
        self._most, self._share, self._ttl = options.most, options.used_share, options.ttl
        self._rng = Random(f"{options.seed}/{name}")

    async def run(self, over: asyncio.Event) -> None:
        """Asks until it is over."""
        number = 0
        while not over.is_set():
            number += 1
            await self._once(f"{self._name}-{number}")
            await asyncio.sleep(self._rng.uniform(0.02, 0.2))

    async def _once(self, hold_id: str) -> None:
        rng, amount = self._rng, self._rng.randint(1, self._most)
        what = rng.choices(("confirm", "release", "forget"), (5, 3, 1))[0]
        words: dict[str, Any] = {
            "hold_id": hold_id,
            "ttl": rng.choice(_FORGOTTEN_SECONDS) if what == "forget" else self._ttl,
        }
        if rng.random() < 0.2:
            words["at_least"] = {TOKENS: rng.randint(1, amount)}
        if rng.random() < 0.2:
            words["kind"] = "lease"
        asked = self._client.reserve(self._subject, {TOKENS: amount}, **words)
        answer = await self._call("reserve", hold_id, amount, asked)
        if answer is None or not answer.is_granted:
            await asyncio.sleep(rng.uniform(0.0, 0.2))
            return
        if rng.random() < 0.1:
            await self._call("reserve", hold_id, amount, self._client.reserve(self._subject, {TOKENS: amount}, **words))
        await asyncio.sleep(rng.uniform(0.0, _SETTLES_WITHIN_SECONDS))
        if rng.random() < 0.05:
            await self._call("extend", hold_id, 0, self._client.extend(hold_id, self._ttl, subject=self._subject))
        await self._close(what, hold_id, int(answer.amounts[TOKENS]))

    async def _close(self, what: str, hold_id: str, held: int) -> None:
        used = self._rng.randint(0, max(1, int(held * self._share))) if self._rng.random() < 0.98 else held
        for _ in range(_TRIES):
            if what == "confirm":
                told = await self._call(
                    what, hold_id, used, self._client.confirm(hold_id, {TOKENS: used}, subject=self._subject)
                )
            elif what == "release":
                told = await self._call(what, hold_id, 0, self._client.release(hold_id, subject=self._subject))
            else:
                return
            # Repeated now and then though it was answered: the same answer must come.
            if told is not None and self._rng.random() < 0.9:
                return

    async def _call(self, command: str, hold_id: str, amount: int, asked: Coroutine[Any, Any, Answer]) -> Answer | None:
        number = self._journal.asks(command, hold_id, amount)
        try:
            answer = await asked
        except QuotaUnavailable:
            self._journal.timed_out(number)
            return None
        except Exception as error:  # noqa: BLE001 - the verdict must see whatever a caller sees
            self._journal.failed(number, error)
            return None
        self._journal.told(number, answer)
        return answer


async def reserve_all(options: argparse.Namespace) -> None:
    """All callers, until their time is over."""
    journal, over = CallJournal(options.journal, options.account), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with AsyncQuotaClient.from_environment() as client:
        names = [f"{options.journal.stem}-{at}" for at in range(options.callers)]
        asyncio.get_running_loop().call_later(options.seconds, over.set)
        await asyncio.gather(*(Reserver(client, journal, options, name).run(over) for name in names))
    journal.closed({})


def main(argv: Sequence[str]) -> int:
    """Exit 0 when it is over."""
    parser = argparse.ArgumentParser(prog="python -m chaos.quota.reservers")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--account", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--most", type=int, default=1_000, help="tokens of one reservation")
    parser.add_argument("--ttl", type=int, default=10, help="seconds of a hold that is to be closed")
    parser.add_argument("--used-share", type=float, default=0.06, help="of what is held, at most so much is used")
    asyncio.run(reserve_all(parser.parse_args(argv)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
