"""Names of repositories, tags and registries, and of images as task definitions write them."""

from __future__ import annotations

import re

from wherry.model.arn import Scope
from wherry.model.base import Value

REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ECR_HOST = re.compile(r"(\d{12})\.dkr(?:\.|-)ecr(?:-fips)?\.([a-z0-9-]+)\..+", re.ASCII)


class RegistryNames(Value, frozen=True):
    """By which hosts a task definition may name the registry of an account in a region.

    Those of ECR with this account and region, whatever domain follows, and the further `hosts`, each with its port.
    """

    account_id: str
    region: str
    hosts: frozenset[str] = frozenset()

    def know(self, image: str) -> bool:
        """Tell whether an image is of this registry."""
        host, _, rest = image.partition("/")
        if not rest:
            return False
        found = _ECR_HOST.fullmatch(host)
        return host in self.hosts or (found is not None and found.groups() == (self.account_id, self.region))


def within(image: str) -> str:
    """Return what follows the registry's host: "team/backend:1" of "host:5000/team/backend:1"."""
    return image.partition("/")[2]


def repository_arn(scope: Scope, name: str) -> str:
    """Name a repository."""
    return f"arn:aws:ecr:{scope.region}:{scope.account_id}:repository/{name}"


def is_repository(name: str) -> bool:
    """Tell whether this can be the name of a repository."""
    return 2 <= len(name) <= 256 and REPOSITORY.fullmatch(name) is not None
