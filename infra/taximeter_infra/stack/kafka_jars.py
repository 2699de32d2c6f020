"""Kafka's jars: fetched once by Maven into a cache that every data directory shares.

The cache directory of a version appears by one rename when it is complete, so an interrupted download is never taken
for a whole one; it keeps the `pom.xml` it was made from, so a changed one is noticed. A file lock lets one process
fetch while others wait. Left-overs of a killed download are removed by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path

from taximeter_infra.stack.child import tail
from taximeter_infra.stack.java import find_maven
from taximeter_schemas.errors import Misconfigured, Retryable

POM = Path(__file__).parent / "kafka" / "pom.xml"
FETCH_SECONDS = 900


def kafka_version(pom: Path = POM) -> str:
    """The version of Kafka that the pom asks for."""
    version = ET.parse(pom).findtext(".//{*}kafka.version")  # noqa: S314 - our own file
    if not version:
        raise Misconfigured(f"{pom} names no kafka.version", mend="reinstall taximeter")
    return version


def cache_dir(environment: Mapping[str, str] | None = None) -> Path:
    """Where the jars are kept: `$XDG_CACHE_HOME/taximeter/kafka-VERSION`, by default under `~/.cache`."""
    base = (os.environ if environment is None else environment).get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "taximeter" / f"kafka-{kafka_version()}"


def is_complete(cache: Path) -> bool:
    """Whether the cache holds all jars of the present pom."""
    kept = cache / "pom.xml"
    return kept.is_file() and kept.read_bytes() == POM.read_bytes()


def require_jars(cache: Path, report: Callable[[str], None]) -> Path:
    """The directory of the jars, fetched if need be.

    Raises Misconfigured when Maven is missing and Retryable when it could not fetch them.
    """
    libs = cache / "libs"
    if is_complete(cache):
        return libs
    cache.parent.mkdir(parents=True, exist_ok=True)
    with (cache.parent / f"{cache.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_complete(cache):
            report(f"fetching Apache Kafka {kafka_version()} with Maven (once, about 45 MB)")
            _fetch(cache)
    return libs


def _fetch(cache: Path) -> None:
    maven = find_maven()
    if maven is None:
        raise Misconfigured(
            "Maven, which fetches Apache Kafka, is not installed",
            mend="install Maven (`apt install maven`), or take the other broker with --broker tansu",
        )
    partial = cache.with_name(f"{cache.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    pom = shutil.copy(POM, partial / "pom.xml")
    log = partial / "maven.log"
    command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    with log.open("wb") as output:
        try:
            done = subprocess.run(  # noqa: S603 - Maven of this machine
                [*command, f"-DoutputDirectory={partial / 'libs'}", "-DincludeScope=runtime"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=FETCH_SECONDS,
                check=False,
            )
            failed = done.returncode != 0
        except subprocess.TimeoutExpired:
            failed = True
    if failed or not any((partial / "libs").glob("kafka_*.jar")):
        raise Retryable(
            "Maven could not fetch Apache Kafka. Look at the network and at Maven's settings, or take the other broker"
            f" with --broker tansu. Maven said:\n{tail(log)}"
        )
    shutil.rmtree(cache, ignore_errors=True)
    partial.replace(cache)
