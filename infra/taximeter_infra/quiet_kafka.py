"""A logger for Kafka clients of commands: librdkafka would write its own lines between ours on standard error."""

from __future__ import annotations

import logging

QUIET = logging.getLogger("taximeter.kafka.client")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
