"""Send a storm to a whole control plane in this process, and judge every answer.

python -m tests.component.storming --inputs 100000 --seed 7
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import botocore.parsers
from botocore.model import OperationModel, ServiceModel
from tests.aws import service_model
from tests.builders import an_instance
from tests.component.storm import Storm
from tests.sums import sums_as_kept, sums_as_they_should_be
from tests.world import World

from wherry.api.ecs.table import Refused
from wherry.api.table import TABLES, services
from wherry.store import Store, Tx
from wherry.store.logs import LogStore, LogTx
from wherry.store.logs.tables import SCHEMA as LOG_SCHEMA
from wherry.store.tables import TABLES as STORED
from wherry.wire.gateway import Gateway
from wherry.wire.message import Response
from wherry.wire.trust import Trust

HANG = 10.0
"""Seconds after which an answer counts as never coming."""
CHANGE_OF_WORLD = 1000
"""After so many inputs the world begins anew, before all of it is deleted or full."""


@dataclass
class Report:
    """How a storm went."""

    accepted: int = 0
    refused: int = 0


async def storm_at(seed: int, inputs: int, *, database: str = "sqlite://") -> Report:
    """Send that many requests; raises AssertionError with the seed and the request of the first broken rule.

    `database` is the URL of an empty one, good for as many inputs as a world lasts; in memory there are new ones.
    """
    report = Report()
    models = {name: service_model(name) for name in TABLES}
    parsers = {name: botocore.parsers.create_parser(model.metadata["protocol"]) for name, model in models.items()}
    for part in range(0, inputs, CHANGE_OF_WORLD):
        async with Store.open(database) as store:
            world = await _world(store)
            gateway = _gateway(world)
            storm = Storm(seed + part, *_operations(models), await _known(world))
            for _ in range(min(CHANGE_OF_WORLD, inputs - part)):
                operation, request = storm.request()
                before = await store.read(fingerprint), await world.ctx.logs.read(fingerprint_of_logs)
                with anyio.fail_after(HANG):
                    response = await gateway.answer(request)
                where = f"seed {seed}, {operation.name}: {request.headers} {request.body[:2000]!r}"
                assert response.status < 500 or _is_told(response), f"{where}\n{response.status} {response.body!r}"
                if response.stream is not None:
                    report.accepted += 1
                    continue
                parser = parsers[operation.service_model.service_name]
                parsed = parser.parse(_as_botocore(response), operation.output_shape)
                if response.status == 200:
                    report.accepted += 1
                    continue
                report.refused += 1
                assert parsed["Error"]["Code"], f"{where}\nno code in {response.body!r}"
                after = await store.read(fingerprint), await world.ctx.logs.read(fingerprint_of_logs)
                assert after == before, f"{where}\nwas refused but wrote: {response.body!r}"
            assert await store.read(sums_as_kept) == await store.read(sums_as_they_should_be), f"seed {seed + part}"
    return report


def _operations(models: Mapping[str, ServiceModel]) -> tuple[list[OperationModel], list[OperationModel]]:
    """All operations: those that are done, those that are refused."""
    done: list[OperationModel] = []
    refused: list[OperationModel] = []
    for service, model in models.items():
        for name in model.operation_names:
            is_done = name in TABLES[service] and not isinstance(TABLES[service][name], Refused)
            (done if is_done else refused).append(model.operation_model(name))
    return done, refused


def fingerprint(tx: Tx) -> tuple[tuple[int, int], ...]:
    """Count the rows of every table and add up their versions: any write changes that."""
    sums = "SELECT count(*), coalesce(sum(version), 0) FROM "
    return tuple(tx._execute(f"{sums} {table.name}", {}).fetchone() for table in STORED)


def fingerprint_of_logs(tx: LogTx) -> tuple[object, ...]:
    """Do the same with the log database, whose counters move with every event."""
    counters = tx._execute("SELECT coalesce(sum(value), 0) FROM log_counters", {}).fetchone()
    rows = tuple(len(tx.find(type_)) + sum(row.version for row in tx.find(type_)) for type_ in LOG_SCHEMA.tables)
    return (*counters, *rows)


def _is_told(response: Response) -> bool:
    """Say whether a 5xx is the deliberate one: an operation that is named as not supported."""
    return response.status == 501 and b"NotImplementedException" in response.body


def _as_botocore(response: Response) -> dict[str, object]:
    return {"status_code": response.status, "headers": dict(response.headers), "body": response.body}


async def _world(store: Store) -> World:
    world = await World(store, LogStore.in_memory()).begin()
    await store.write(lambda tx: tx.put(an_instance(cpu=1_000_000, memory=1_000_000)))
    await world("CreateCluster", clusterName="other")
    await world("CreateLogGroup", of="logs", logGroupName="/app")
    await world("CreateLogStream", of="logs", logGroupName="/app", logStreamName="s")
    common = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": world.network}
    await world("CreateService", serviceName="web", desiredCount=2, **common)
    await world("RunTask", count=3, **common)
    return world


async def _known(world: World) -> dict[str, tuple[str, ...]]:
    tasks = (await world("ListTasks"))["taskArns"]
    deployments = await world("ListServiceDeployments", service="web")
    arns = [one["serviceDeploymentArn"] for one in deployments["serviceDeployments"]]
    services_ = (await world("ListServices"))["serviceArns"]
    return {
        "task": tuple(tasks),
        "tasks": tuple(tasks),
        "subnets": world.subnets,
        "resourceArn": (*tasks, *services_),
        "serviceDeploymentArns": tuple(arns),
        "serviceDeploymentArn": tuple(arns),
        "containerInstance": (an_instance().container_instance_arn,),
    }


def _gateway(world: World) -> Gateway:
    ctx = world.ctx
    return Gateway(
        services=services(ctx),
        region=ctx.scope.region,
        account_id=ctx.scope.account_id,
        trust=Trust(listen="127.0.0.1"),
        clock=ctx.clock,
        entropy=ctx.entropy,
    )


def main() -> None:
    """Storm for as many inputs as one likes."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inputs", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    chosen = options.parse_args()
    print(f"seed {chosen.seed}")  # noqa: T201  a command
    began = time.perf_counter()
    report = anyio.run(storm_at, chosen.seed, chosen.inputs)
    rate = chosen.inputs / (time.perf_counter() - began)
    print(f"{report.accepted} accepted, {report.refused} refused, none broke a rule; {rate:.0f} inputs/s")  # noqa: T201


if __name__ == "__main__":
    main()
