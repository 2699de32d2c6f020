"""The versions of the event in a Confluent-compatible registry, as an operator looks at them.

Only calls that Confluent's registry and Karapace both have. Registering what is there already gives its id again, so a
repeated call is safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_schemas.errors import Misconfigured, Retryable
from taximeter_schemas.registry import SUBJECT, open_client, unreachable

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

    from taximeter_schemas.settings import RegistrySettings

_TIMEOUT_SECONDS: Final = 10
_SUBJECT_NOT_FOUND: Final = 40401
_NO_MODE_OF_ITS_OWN: Final = 40408


@dataclass(frozen=True)
class Registered:
    """One version of the subject: its number there, the id that records carry, its text."""

    version: int
    schema_id: int
    text: str


class RegistrySubject:
    """One subject. Every call raises Retryable where the registry does not answer, Misconfigured where it refuses."""

    def __init__(self, client: SchemaRegistryClient, name: str = SUBJECT) -> None:
        self._client = client
        self.name = name

    def versions(self) -> list[Registered]:
        """All of them, oldest first; none where the subject does not exist yet."""
        from confluent_kafka.schema_registry import SchemaRegistryError

        with _translated():
            try:
                numbers = sorted(self._client.get_versions(self.name))
            except SchemaRegistryError as error:
                if error.error_code == _SUBJECT_NOT_FOUND:
                    return []
                raise
            return [self._version(number) for number in numbers]

    def mode(self) -> str:
        """The compatibility that the registry holds new versions to: the subject's own, else that of all subjects."""
        from confluent_kafka.schema_registry import SchemaRegistryError

        with _translated():
            try:
                return str(self._client.get_compatibility(self.name))
            except SchemaRegistryError as error:
                # Some say that the subject has no mode of its own, some that there is no such subject.
                if error.error_code not in {_NO_MODE_OF_ITS_OWN, _SUBJECT_NOT_FOUND}:
                    raise
            return str(self._client.get_compatibility(None))

    def refusing(self, text: str) -> list[int]:
        """The versions with which the registry, by its mode, does not find this schema compatible."""
        from confluent_kafka.schema_registry import Schema

        asked = Schema(text, "AVRO")
        numbers = [found.version for found in self.versions()]
        with _translated():
            return [number for number in numbers if not self._client.test_compatibility(self.name, asked, number)]

    def register(self, text: str) -> int:
        """The id of this schema, a new version if it was not there. Raises Misconfigured where it is refused."""
        from confluent_kafka.schema_registry import Schema

        with _translated():
            return int(self._client.register_schema(self.name, Schema(text, "AVRO")))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _version(self, number: int) -> Registered:
        found = self._client.get_version(self.name, number)
        return Registered(number, int(found.schema_id or 0), (found.schema.schema_str if found.schema else None) or "")


def open_subject(settings: RegistrySettings) -> RegistrySubject | None:
    """The subject in the registry that the settings name; None without one. Raises Misconfigured."""
    if settings.url is None:
        return None
    # For people, who wait: no second and third attempt.
    return RegistrySubject(open_client(settings, timeout=_TIMEOUT_SECONDS, **{"max.retries": 0}))


@contextmanager
def _translated() -> Iterator[None]:
    from confluent_kafka.schema_registry import SchemaRegistryError

    try:
        yield
    except SchemaRegistryError as error:
        said = f"the schema registry says {error.error_code}: {error.error_message}"
        if error.http_status_code in {401, 403}:
            raise Misconfigured(
                said, mend="look at SCHEMA_REGISTRY_BASIC_AUTH, and at what that user may do"
            ) from error
        if error.http_status_code == 409 or error.error_code in {42201, 42203}:
            raise Misconfigured(said, mend="`taximeter schema check` says what is in the way") from error
        raise Retryable(said) from error
    except unreachable() as error:
        raise Retryable("the schema registry does not answer; look at SCHEMA_REGISTRY_URL") from error
