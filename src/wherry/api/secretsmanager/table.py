"""Every operation of the Secrets Manager model in one table: done, or refused with a sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.api.ecs.table import Operation, Refused
from wherry.api.secretsmanager import listing, passwords, policies, secrets, tags, versions
from wherry.model.secretsmanager.errors import InvalidRequestException


def _refused(sentence: str) -> Refused:
    return Refused(sentence, InvalidRequestException)


_ROTATION = _refused(
    "Rotation needs AWS Lambda, which Wherry does not have. Put new values with PutSecretValue, on a schedule of yours."
)
_REPLICAS = _refused("Wherry is one region: secrets are not replicated. Create the secret wherever it is needed.")
_POLICIES = _refused(
    "Secrets have no policies of their own in Wherry. Policies of roles and users say who may do what with a secret."
)

OPERATIONS: Mapping[str, Operation | Refused] = {
    "AssociateCrossAccountReplica": _REPLICAS,
    "BatchGetSecretValue": listing.batch_get_secret_value,
    "CancelRotateSecret": _ROTATION,
    "CreateSecret": secrets.create_secret,
    "DeleteResourcePolicy": policies.delete_resource_policy,
    "DeleteSecret": secrets.delete_secret,
    "DescribeSecret": secrets.describe_secret,
    "DisassociateCrossAccountReplica": _REPLICAS,
    "GetRandomPassword": passwords.get_random_password,
    "GetResourcePolicy": policies.get_resource_policy,
    "GetSecretValue": versions.get_secret_value,
    "ListResourcePolicies": policies.list_resource_policies,
    "ListSecretVersionIds": versions.list_secret_version_ids,
    "ListSecrets": listing.list_secrets,
    "PutResourcePolicy": _POLICIES,
    "PutSecretValue": versions.put_secret_value,
    "RemoveRegionsFromReplication": _REPLICAS,
    "ReplicateSecretToRegions": _REPLICAS,
    "RestoreSecret": secrets.restore_secret,
    "RotateSecret": _ROTATION,
    "StopReplicationToReplica": _REPLICAS,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateSecret": secrets.update_secret,
    "UpdateSecretVersionStage": versions.update_secret_version_stage,
    "ValidateResourcePolicy": _POLICIES,
}
