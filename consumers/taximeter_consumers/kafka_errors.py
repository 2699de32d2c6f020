"""librdkafka's errors in our tree, by name, in tables: they are the whole decision.

What is not in a table may pass by itself: Retryable. Every name that the client knows stands either in a table or in
`PASSING` or `FOREIGN` below; a test says which ones a new version brings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taximeter_schemas.errors import Fenced, Misconfigured, Poison, Retryable, TaximeterError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

# Somebody else owns this work now; whatever is in hand is dropped.
FENCED: Final = frozenset(
    [
        "ILLEGAL_GENERATION",
        "UNKNOWN_MEMBER_ID",
        "_FENCED",
        "_ASSIGNMENT_LOST",
        "FENCED_MEMBER_EPOCH",
        "STALE_MEMBER_EPOCH",
        "PRODUCER_FENCED",
        "INVALID_PRODUCER_EPOCH",
        "TRANSACTION_COORDINATOR_FENCED",
        "FENCED_STATE_EPOCH",
        "STREAMS_TOPOLOGY_FENCED",
    ]
)

# The same, and this client can do nothing more; a new one may. The broker says FENCED_INSTANCE_ID also to a client
# whose own session has just ended: it has forgotten its name, which the broker still knows.
ENDED: Final = {
    "FENCED_INSTANCE_ID": "if it goes on, two processes have one instance id: give each an id of its own"
    " (TAXIMETER_SINK_INSTANCE_ID, TAXIMETER_QUOTA_INSTANCE_ID)",
    "_FATAL": "",
}

# The record itself is refused, by whomever and however often it is sent.
POISON: Final = frozenset(
    [
        "INVALID_RECORD",
        "INVALID_TIMESTAMP",
        "_KEY_SERIALIZATION",
        "_VALUE_SERIALIZATION",
        "_KEY_DESERIALIZATION",
        "_VALUE_DESERIALIZATION",
    ]
)

_CREDENTIALS: Final = "look at KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM"
_TOPICS: Final = "create the topics with `taximeter topics create`"
_OLD_BROKER: Final = "use Apache Kafka 2.4 or later, or a broker that speaks its protocol"
_OPTIONS: Final = "look at the KAFKA_* variables, KAFKA_OPTIONS among them"
_TOO_LARGE: Final = "raise max.message.bytes of the topic that is written to, or message.max.bytes in KAFKA_OPTIONS"
_DELEGATION: Final = "give the client a delegation token that holds, or user and password: KAFKA_SASL_*"

MISCONFIGURED: Final = {
    "_AUTHENTICATION": _CREDENTIALS,
    "SASL_AUTHENTICATION_FAILED": _CREDENTIALS,
    "UNSUPPORTED_SASL_MECHANISM": _CREDENTIALS,
    "ILLEGAL_SASL_STATE": _CREDENTIALS,
    "UNACCEPTABLE_CREDENTIAL": _CREDENTIALS,
    "INVALID_PRINCIPAL_TYPE": _CREDENTIALS,
    "SECURITY_DISABLED": "set KAFKA_SECURITY_PROTOCOL to plaintext: the brokers have no security set up",
    "DELEGATION_TOKEN_AUTH_DISABLED": _DELEGATION,
    "DELEGATION_TOKEN_NOT_FOUND": _DELEGATION,
    "DELEGATION_TOKEN_OWNER_MISMATCH": _DELEGATION,
    "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED": _DELEGATION,
    "DELEGATION_TOKEN_AUTHORIZATION_FAILED": _DELEGATION,
    "DELEGATION_TOKEN_EXPIRED": _DELEGATION,
    "TOPIC_AUTHORIZATION_FAILED": "allow this user to read the topic, and to write where it is written to",
    "GROUP_AUTHORIZATION_FAILED": "allow this user to use the consumer group",
    "CLUSTER_AUTHORIZATION_FAILED": "allow this user IdempotentWrite on the cluster",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": "allow this user to use the transactional id",
    "UNKNOWN_TOPIC_OR_PART": _TOPICS,
    "_UNKNOWN_TOPIC": _TOPICS,
    "TOPIC_EXCEPTION": "the topic's name is not a legal one: look at TAXIMETER_TOPIC_*",
    "_UNKNOWN_PARTITION": "look at the topic's partitions with `taximeter topics describe`",
    "INCONSISTENT_GROUP_PROTOCOL": "give the sink a group of its own: TAXIMETER_SINK_GROUP_ID",
    "INVALID_GROUP_ID": "set TAXIMETER_SINK_GROUP_ID to a name that the brokers allow",
    "INVALID_SESSION_TIMEOUT": "keep TAXIMETER_SINK_SESSION_TIMEOUT_MS within the brokers'"
    " group.min.session.timeout.ms and group.max.session.timeout.ms",
    "GROUP_MAX_SIZE_REACHED": "run fewer sinks, or raise the brokers' group.max.size",
    "OFFSET_METADATA_TOO_LARGE": "raise the brokers' offset.metadata.max.bytes to its default of 4096 or above",
    "UNSUPPORTED_ASSIGNOR": "leave group.protocol and group.remote.assignor out of KAFKA_OPTIONS",
    "MSG_SIZE_TOO_LARGE": _TOO_LARGE,
    "INVALID_MSG_SIZE": _TOO_LARGE,
    "RECORD_LIST_TOO_LARGE": _TOO_LARGE,
    "UNSUPPORTED_COMPRESSION_TYPE": "choose another compression.type in KAFKA_OPTIONS, or allow it on the topic",
    "UNSUPPORTED_FOR_MESSAGE_FORMAT": _OLD_BROKER,
    "UNSUPPORTED_VERSION": _OLD_BROKER,
    "_UNSUPPORTED_FEATURE": _OLD_BROKER,
    "INVALID_REQUIRED_ACKS": "leave acks out of KAFKA_OPTIONS",
    "POLICY_VIOLATION": "the brokers' policy refuses this; their operator can say why",
    "INVALID_CONFIG": _OPTIONS,
    "_INVALID_ARG": _OPTIONS,
    "_INVALID_TYPE": _OPTIONS,
    "_CONFLICT": _OPTIONS,
    "_NOT_CONFIGURED": _OPTIONS,
    "_NOT_IMPLEMENTED": _OPTIONS,
    "_UNKNOWN_PROTOCOL": _OPTIONS,
    "_FS": "let this process read and write the files that KAFKA_OPTIONS and KAFKA_SSL_CA_LOCATION name",
}

# Passes by itself, or when an operator acts; what to look at meanwhile.
HINTS: Final = {
    "_SSL": "look at KAFKA_SECURITY_PROTOCOL and KAFKA_SSL_CA_LOCATION if it does not pass",
    "_RESOLVE": "the name of a broker does not resolve; look at KAFKA_BOOTSTRAP_SERVERS",
    "_ALL_BROKERS_DOWN": "no broker answers; look at KAFKA_BOOTSTRAP_SERVERS",
    "_BAD_MSG": "a broker sent bytes that do not pass their checksum; look at its disk and the network",
    "INVALID_MSG": "a record does not pass its checksum; look at the broker's disk and the network",
    "_BAD_COMPRESSION": "a broker sent bytes that do not decompress; look at its disk",
    "KAFKA_STORAGE_ERROR": "a broker's disk fails or is full",
    "LOG_DIR_NOT_FOUND": "a broker's disk is gone",
    "NOT_ENOUGH_REPLICAS": "too few replicas are in sync; see which brokers are down",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": "too few replicas are in sync; see which brokers are down",
    "_ISR_INSUFF": "too few replicas are in sync; see which brokers are down",
    "THROTTLING_QUOTA_EXCEEDED": "the brokers' quota for this user is used up for now",
    "_AUTO_OFFSET_RESET": "the offset to read next is not in the log",
    "_LOG_TRUNCATION": "a broker lost what it had acknowledged: unclean leader election",
    "OFFSET_OUT_OF_RANGE": "the offset to read next is not in the log",
}

# Retryable because it passes by itself: a network, a broker, a leader or a coordinator on the move; a client that is
# busy, closing, or fatal and therefore opened anew.
PASSING: Final = frozenset(
    [
        "_DESTROY",
        "_DESTROY_BROKER",
        "_FAIL",
        "_TRANSPORT",
        "_CRIT_SYS_RESOURCE",
        "_MSG_TIMED_OUT",
        "_PARTITION_EOF",
        "_TIMED_OUT",
        "_QUEUE_FULL",
        "_NODE_UPDATE",
        "_WAIT_COORD",
        "_IN_PROGRESS",
        "_PREV_IN_PROGRESS",
        "_ASSIGN_PARTITIONS",
        "_REVOKE_PARTITIONS",
        "_STATE",
        "_NO_OFFSET",
        "_OUTDATED",
        "_TIMED_OUT_QUEUE",
        "_WAIT_CACHE",
        "_INTR",
        "_PARTIAL",
        "_RETRY",
        "_PURGE_QUEUE",
        "_PURGE_INFLIGHT",
        "_INCONSISTENT",
        "_GAPLESS_GUARANTEE",
        "_MAX_POLL_EXCEEDED",
        "_UNKNOWN_BROKER",
        "_NOOP",
        "_UNDERFLOW",
        "_READ_ONLY",
        "_NOENT",
        "_UNKNOWN_GROUP",
        "_EXISTING_SUBSCRIPTION",
        "_APPLICATION",
        "UNKNOWN",
        "NO_ERROR",
        "LEADER_NOT_AVAILABLE",
        "NOT_LEADER_FOR_PARTITION",
        "REQUEST_TIMED_OUT",
        "BROKER_NOT_AVAILABLE",
        "REPLICA_NOT_AVAILABLE",
        "STALE_CTRL_EPOCH",
        "NETWORK_EXCEPTION",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
        "REBALANCE_IN_PROGRESS",
        "NOT_CONTROLLER",
        "OUT_OF_ORDER_SEQUENCE_NUMBER",
        "DUPLICATE_SEQUENCE_NUMBER",
        "UNKNOWN_PRODUCER_ID",
        "REASSIGNMENT_IN_PROGRESS",
        "FETCH_SESSION_ID_NOT_FOUND",
        "INVALID_FETCH_SESSION_EPOCH",
        "LISTENER_NOT_FOUND",
        "FENCED_LEADER_EPOCH",
        "UNKNOWN_LEADER_EPOCH",
        "STALE_BROKER_EPOCH",
        "OFFSET_NOT_AVAILABLE",
        "MEMBER_ID_REQUIRED",
        "PREFERRED_LEADER_NOT_AVAILABLE",
        "UNSTABLE_OFFSET_COMMIT",
        "UNKNOWN_TOPIC_ID",
        "INCONSISTENT_TOPIC_ID",
        "UNRELEASED_INSTANCE_ID",
        "GROUP_ID_NOT_FOUND",
        "INVALID_COMMIT_OFFSET_SIZE",
        "INVALID_REQUEST",
        "INVALID_PRODUCER_ID_MAPPING",
        "REBOOTSTRAP_REQUIRED",
        "TRANSACTION_ABORTABLE",
        "CONCURRENT_TRANSACTIONS",
    ]
)

# Retryable because unknown to our calls: transactions, share groups, streams, and what only an administrator's client
# is answered. If one comes all the same, nothing is lost by trying again.
FOREIGN: Final = frozenset(
    [
        "TOPIC_ALREADY_EXISTS",
        "INVALID_PARTITIONS",
        "INVALID_REPLICATION_FACTOR",
        "INVALID_REPLICA_ASSIGNMENT",
        "INVALID_TXN_STATE",
        "INVALID_TRANSACTION_TIMEOUT",
        "OPERATION_NOT_ATTEMPTED",
        "NON_EMPTY_GROUP",
        "TOPIC_DELETION_DISABLED",
        "ELIGIBLE_LEADERS_NOT_AVAILABLE",
        "ELECTION_NOT_NEEDED",
        "NO_REASSIGNMENT_IN_PROGRESS",
        "GROUP_SUBSCRIBED_TO_TOPIC",
        "RESOURCE_NOT_FOUND",
        "DUPLICATE_RESOURCE",
        "INCONSISTENT_VOTER_SET",
        "INVALID_UPDATE_VERSION",
        "FEATURE_UPDATE_FAILED",
        "PRINCIPAL_DESERIALIZATION_FAILURE",
        "MISMATCHED_ENDPOINT_TYPE",
        "UNSUPPORTED_ENDPOINT_TYPE",
        "UNKNOWN_CONTROLLER_ID",
        "UNKNOWN_SUBSCRIPTION_ID",
        "TELEMETRY_TOO_LARGE",
        "INVALID_REGISTRATION",
        "INVALID_RECORD_STATE",
        "SHARE_SESSION_NOT_FOUND",
        "INVALID_SHARE_SESSION_EPOCH",
        "INVALID_VOTER_KEY",
        "DUPLICATE_VOTER",
        "VOTER_NOT_FOUND",
        "INVALID_REGULAR_EXPRESSION",
        "STREAMS_INVALID_TOPOLOGY",
        "STREAMS_INVALID_TOPOLOGY_EPOCH",
        "SHARE_SESSION_LIMIT_REACHED",
        "_INVALID_DIFFERENT_RECORD",
    ]
)


class ClientEnded(Fenced):
    """The client is of no more use: whoever goes on opens a new one."""


def ends_client(error: KafkaError) -> bool:
    """Whether the client can do nothing more. The error that ended it says that it is fatal, those that follow say so
    by their name."""
    return error.fatal() or error.name() in ENDED


def translate(error: KafkaError) -> TaximeterError:
    """The error of ours for one of librdkafka's: Fenced, Poison, Misconfigured, else Retryable."""
    name = error.name()
    if name in ENDED:
        return ClientEnded(f"Kafka says {name}" + (f"; {ENDED[name]}" if ENDED[name] else ""))
    if name in FENCED:
        return Fenced(f"another process owns this work now ({name})")
    if name in POISON:
        return Poison("refused_by_kafka", f"Kafka refuses the record ({name})")
    if name in MISCONFIGURED:
        return Misconfigured(f"Kafka says {name}: {error.str()}", mend=MISCONFIGURED[name])
    hint = HINTS.get(name)
    return Retryable(f"Kafka says {name}" + (f"; {hint}" if hint else ""))
