"""Logs of the long-running commands: one line per event on stderr, for people on a terminal, as JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor


def configure_logs(*, level: int = logging.INFO, noted: Processor | None = None) -> None:
    """Sets structlog up for this process. Never hand it a payload, a URL with credentials or an event's text.

    `noted` sees each line before it is written."""
    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *(() if noted is None else (noted,)),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Looked up for each line: whoever replaces standard error, and closes it again, must not break a log call.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
