"""Log groups, log streams and queries, and what they are called."""

from __future__ import annotations

from enum import StrEnum

from wherry.model.arn import Scope
from wherry.model.base import Entity

DAY_MS = 24 * 3600 * 1000

RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""The numbers of days that a retention policy may have."""


class LogGroup(Entity, frozen=True):
    """A log group; times are epoch milliseconds. `id` is the database's, so that a name can be used again at once."""

    log_group_name: str
    id: int
    creation_time: int
    retention_in_days: int | None = None
    log_group_class: str = "STANDARD"
    deletion_protection_enabled: bool = False
    tags: dict[str, str] = {}

    def expired_before(self, now: float) -> int:
        """Tell the time before which events have expired, in milliseconds; `now` is in seconds."""
        return 0 if self.retention_in_days is None else int(now * 1000) - self.retention_in_days * DAY_MS


class LogStream(Entity, frozen=True):
    """A log stream; times are epoch milliseconds, those of events None while there are none."""

    key: str
    log_stream_name: str
    log_group_id: int
    id: int
    creation_time: int
    first_event_timestamp: int | None = None
    last_event_timestamp: int | None = None
    last_ingestion_time: int | None = None

    @property
    def last_event(self) -> int:
        """The order of streams by their last event: a stream without events comes first."""
        return self.last_event_timestamp or 0


ResultRow = tuple[tuple[str, str], ...]
"""A row of results: fields and what they show."""


class QueryStatus(StrEnum):
    """What becomes of a query of Logs Insights."""

    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    TIMEOUT = "Timeout"


class LogQuery(Entity, frozen=True):
    """A query of Logs Insights; `start_time` and `end_time` are epoch seconds, both inclusive."""

    query_id: str
    query_string: str
    log_groups: tuple[str, ...]
    start_time: int
    end_time: int
    limit: int
    create_time: int
    user_identity: str = ""
    status: QueryStatus = QueryStatus.SCHEDULED
    finished_at: int = 0
    result_count: int = 0
    records_matched: int = 0
    records_scanned: int = 0
    bytes_scanned: int = 0

    @property
    def is_over(self) -> bool:
        """Say whether nothing more becomes of it."""
        return self.status not in {QueryStatus.SCHEDULED, QueryStatus.RUNNING}


class LogResults(Entity, frozen=True):
    """The results of a query that is complete."""

    query_id: str
    rows: tuple[ResultRow, ...] = ()


class Remains(Entity, frozen=True):
    """What was deleted and still has chunks in the database: a group's or a stream's, by its id."""

    key: str
    log_group_id: int = 0
    log_stream_id: int = 0


def stream_key(log_group_id: int, log_stream_name: str) -> str:
    """Make the key of a stream."""
    return f"{log_group_id}/{log_stream_name}"


def group_arn(scope: Scope, log_group_name: str) -> str:
    """Name a log group, without the `:*` that AWS puts behind it in some places."""
    return f"arn:aws:logs:{scope.region}:{scope.account_id}:log-group:{log_group_name}"


def stream_arn(scope: Scope, log_group_name: str, log_stream_name: str) -> str:
    """Name a log stream."""
    return f"{group_arn(scope, log_group_name)}:log-stream:{log_stream_name}"


def name_of(scope: Scope, identifier: str) -> str | None:
    """Find the name of the log group that a name or an ARN means, with or without `:*`; None if it is another's."""
    if not identifier.startswith("arn:"):
        return identifier
    prefix = group_arn(scope, "")
    return identifier.removesuffix(":*").removeprefix(prefix) if identifier.startswith(prefix) else None
