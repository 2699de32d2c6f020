"""An executor that asks before it spends: it sums up pages until they are done, or until the quota says no.

    python -m examples.ask_before_you_spend acme --pages 20

It wants a Kafka and a running `taximeter quota service`; `eval "$(taximeter status --env)"` says where they are. The
model is a stand-in, so nothing is really spent. Exit code 0: all pages. 3: the quota stopped it, and it says why.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from taximeter import Meter, current_node
from taximeter.quota import Denied, QuotaGate
from taximeter.usage import from_openai

DENIED = 3
ANSWER_TOKENS = 120


def sum_up(meter: Meter, gate: QuotaGate, account_id: str, pages: Iterable[str]) -> tuple[list[str], str]:
    """One run, one node for each page: the lines that it made, and why it stopped early, if it did."""
    lines: list[str] = []
    with meter.run(account_id=account_id, workflow_id="digest"):
        for number, page in enumerate(pages, start=1):
            try:
                with gate.metered_node(f"page-{number}", estimate(page), node_type="ai") as node:
                    # A limit that degrades names the smaller model to go on with.
                    lines.append(ask_the_model(node.degrade_to or "gpt-4o", page))
            except Denied as refusal:
                return lines, str(refusal)
    return lines, ""


def estimate(page: str) -> dict[str, int]:
    """What a page may take at most. What its node then records is what counts."""
    return {"total_tokens": len(page) // 2 + ANSWER_TOKENS, "executions": 1}


def ask_the_model(model: str, page: str) -> str:
    """Stands in for a call of a provider, whose answer says what it used."""
    usage: dict[str, Any] = {"prompt_tokens": len(page) // 4, "completion_tokens": ANSWER_TOKENS // 2}
    current_node().ai(provider="openai", model=model, **from_openai(usage))
    return f"{model}: {page[:20]}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.ask_before_you_spend", description=__doc__.split("\n")[0])
    parser.add_argument("account", help="whose quota it draws from")
    parser.add_argument("--pages", type=int, default=20)
    wanted = parser.parse_args(argv)
    pages = [f"Page {number}. " + "It was a dark and stormy night. " * 20 for number in range(1, wanted.pages + 1)]
    # The gate closes first: it settles what was used and gives the rest of its leases back.
    with Meter.from_environment() as meter, QuotaGate.from_environment() as gate:
        lines, refused = sum_up(meter, gate, wanted.account, pages)
    print(f"{len(lines)} of {len(pages)} pages")
    if refused:
        print(f"stopped: {refused}", file=sys.stderr)
    return DENIED if refused else 0


if __name__ == "__main__":
    sys.exit(main())
