"""Amazon Resource Names of ECS: made, taken apart, and found from what a caller may write instead."""

from __future__ import annotations

from wherry.model.base import Value


class Scope(Value, frozen=True):
    """The account and region that this control plane speaks for."""

    region: str
    account_id: str

    def arn(self, resource: str) -> str:
        """Prefix an ECS `resource` such as "cluster/web"."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:{resource}"

    def cluster(self, name: str) -> str:
        """Name a cluster."""
        return self.arn(f"cluster/{name}")

    def task_definition(self, family: str, revision: int) -> str:
        """Name a revision of a family."""
        return self.arn(f"task-definition/{family}:{revision}")

    def task(self, cluster_name: str, task_id: str) -> str:
        """Name a task; `task_id` is 32 hexadecimal digits."""
        return self.arn(f"task/{cluster_name}/{task_id}")

    def container(self, cluster_name: str, task_id: str, container_id: str) -> str:
        """Name a container of a task; `container_id` is a uuid."""
        return self.arn(f"container/{cluster_name}/{task_id}/{container_id}")

    def container_instance(self, cluster_name: str, instance_id: str) -> str:
        """Name a container instance; `instance_id` is 32 hexadecimal digits."""
        return self.arn(f"container-instance/{cluster_name}/{instance_id}")

    def service(self, cluster_name: str, service_name: str) -> str:
        """Name a service."""
        return self.arn(f"service/{cluster_name}/{service_name}")

    def service_deployment(self, cluster_name: str, service_name: str, suffix: str) -> str:
        """Name a service deployment; `suffix` is 21 letters and digits."""
        return self.arn(f"service-deployment/{cluster_name}/{service_name}/{suffix}")

    def service_revision(self, cluster_name: str, service_name: str, suffix: str) -> str:
        """Name a service revision; `suffix` is 19 digits."""
        return self.arn(f"service-revision/{cluster_name}/{service_name}/{suffix}")

    def attachment(self, attachment_id: str) -> str:
        """Name an attachment; `attachment_id` is a uuid."""
        return self.arn(f"attachment/{attachment_id}")


FARGATE_POOL = ".fargate"
"""Name of the cluster that Fargate capacity registers into. No user can create it: a dot is not a legal character."""


def resource(arn: str) -> str:
    """Return what follows the account: "task/web/0123" of a task's ARN; the whole text if it is no ARN."""
    return arn.split(":", 5)[5] if arn.startswith("arn:") and arn.count(":") >= 5 else arn


def last(arn: str) -> str:
    """Return what follows the last slash: the name or id of the thing."""
    return arn.rsplit("/", 1)[-1]


def cluster_name_of(arn: str) -> str:
    """Return the cluster name inside a task's, service's or container instance's ARN."""
    return resource(arn).split("/")[1]


def region_of(arn: str) -> str:
    """Return the region inside an ARN."""
    return arn.split(":")[3]


def account_of(arn: str) -> str:
    """Return the account inside an ARN."""
    return arn.split(":")[4]
