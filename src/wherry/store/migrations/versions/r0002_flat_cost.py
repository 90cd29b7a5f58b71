"""What keeps the cost of a call the same with many tasks: sums of what is reserved, and indexes in a list's order."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Share = tuple[str, int, int]


def upgrade() -> None:
    """Create the table and fill it; make indexes cover what lists are sorted by and counts asked for."""
    _sum_up()
    for table, columns in (
        ("tasks", ["cluster_arn", "desired_status", "task_arn"]),
        ("tasks", ["service_arn", "last_status", "service_revision_arn"]),
        ("services", ["cluster_arn", "status", "service_arn"]),
    ):
        op.drop_index(f"ix_{table}_{'_'.join(columns[:2])}", table)
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)


def _sum_up() -> None:
    reserved = op.create_table(
        "reserved",
        sa.Column("place", TEXT, primary_key=True, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    cpu, memory, holders = Counter[str](), Counter[str](), Counter[str]()
    for place, its_cpu, its_memory in _shares(op.get_bind()):
        cpu[place] += its_cpu
        memory[place] += its_memory
        holders[place] += 1
    sums = ({"place": p, "cpu": cpu[p], "memory": memory[p], "holders": holders[p], "version": 1} for p in holders)
    rows = [{"place": one["place"], "version": 1, "body": json.dumps(one, ensure_ascii=False)} for one in sums]
    if rows:
        op.bulk_insert(reserved, rows)


def _shares(connection: sa.Connection) -> Iterator[Share]:
    tasks = "SELECT body FROM tasks WHERE last_status <> 'STOPPED' AND container_instance_arn IS NOT NULL"
    for (body,) in connection.exec_driver_sql(tasks):
        yield from _shares_of_task(json.loads(body))
    for (subnet_id,) in connection.exec_driver_sql("SELECT subnet_id FROM network_interfaces"):
        yield subnet_id, 0, 0


def _shares_of_task(task: dict[str, Any]) -> Iterator[Share]:
    yield task["containerInstanceArn"], task.get("cpu", 0), task.get("memory", 0)
    zone = task.get("availabilityZone")
    if zone is not None and task.get("desiredStatus", "RUNNING") == "RUNNING":
        yield f"{task.get('serviceArn') or task['clusterArn'] + ' ' + task['group']} {zone}", 0, 0
