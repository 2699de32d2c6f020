"""Finding Java and Maven, and judging what `java -version` says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

JAVA_NEEDED = 17
PROBE_SECONDS = 20
_VERSION = re.compile(r'version "?(\d+)(?:\.(\d+))?')


@dataclass(frozen=True)
class Java:
    """A Java that was found: its executable and its major version (None when its answer was not understood)."""

    executable: str
    major: int | None

    @property
    def recent_enough(self) -> bool:
        """Whether Kafka runs on it."""
        return self.major is not None and self.major >= JAVA_NEEDED


def major_version(answer: str) -> int | None:
    """The major version in the output of `java -version`, which says 1.8 for 8; None when there is none."""
    found = _VERSION.search(answer)
    if found is None:
        return None
    first, second = int(found[1]), found[2]
    return int(second) if first == 1 and second is not None else first


def java_executable(environment: Mapping[str, str]) -> str | None:
    """`$JAVA_HOME/bin/java` when it is there, else `java` on the PATH."""
    home = environment.get("JAVA_HOME")
    if home:
        inside = Path(home) / "bin" / "java"
        if os.access(inside, os.X_OK):
            return str(inside)
    return shutil.which("java", path=environment.get("PATH"))


def find_java(environment: Mapping[str, str] | None = None) -> Java | None:
    """The Java that would run Kafka, or None."""
    executable = java_executable(os.environ if environment is None else environment)
    if executable is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - the Java of this machine
            [executable, "-version"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return Java(executable, None)
    return Java(executable, major_version(answer.stderr + answer.stdout))


def find_maven() -> str | None:
    """`mvn` on the PATH, or None."""
    return shutil.which("mvn")
