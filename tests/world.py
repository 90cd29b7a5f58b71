"""A control plane with a task definition, for tests of services; the scheduler is not there."""

from __future__ import annotations

from typing import Any

from msgspec import structs
from tests.aws import Aws

from wherry.model.service import Deployment, RolloutState, ServiceDeploymentStatus
from wherry.store import Tx


class World(Aws):
    """A control plane with the definition `web:1`, and short ways to a service of it."""

    subnets: tuple[str, ...] = ()

    async def begin(self) -> World:
        await self.seed()
        self.subnets = tuple(s["SubnetId"] for s in (await self.ec2("DescribeSubnets"))["Subnets"])
        await self.register()
        return self

    async def register(self, family: str = "web", **changes: Any) -> str:
        params = {
            "family": family,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [{"name": "app", "image": "example/app:1"}],
        }
        answer = await self("RegisterTaskDefinition", **params | changes)
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    @property
    def network(self) -> dict[str, Any]:
        return {"awsvpcConfiguration": {"subnets": list(self.subnets)}}

    async def create(self, name: str = "web", **changes: Any) -> dict[str, Any]:
        return (await self("CreateService", **self.request(name, **changes)))["service"]

    def request(self, name: str = "web", **changes: Any) -> dict[str, Any]:
        params = {
            "serviceName": name,
            "taskDefinition": "web",
            "desiredCount": 2,
            "launchType": "FARGATE",
            "networkConfiguration": self.network,
        }
        return {key: value for key, value in (params | changes).items() if value is not ...}

    async def update(self, name: str = "web", **changes: Any) -> dict[str, Any]:
        self.now += 1
        return (await self("UpdateService", service=name, **changes))["service"]

    async def describe(self, name: str = "web") -> dict[str, Any]:
        return (await self("DescribeServices", services=[name]))["services"][0]

    async def change(self, type_: type[Any], key: str, **changes: Any) -> None:
        def write(tx: Tx) -> None:
            tx.put(structs.replace(tx.get(type_, key), **changes))

        await self.store.write(write)

    async def put(self, *entities: Any) -> None:
        def write(tx: Tx) -> None:
            for entity in entities:
                tx.put(entity)

        await self.store.write(write)

    async def complete(self, deployment_id: str) -> None:
        """Do what the scheduler does at the end of a rollout."""
        await self.change(
            Deployment,
            deployment_id,
            rollout_state=RolloutState.COMPLETED,
            service_deployment_status=ServiceDeploymentStatus.SUCCESSFUL,
            finished_at=self.now,
        )
