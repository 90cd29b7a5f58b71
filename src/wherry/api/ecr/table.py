"""Every operation of the ECR model in one table: done, or refused with a sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.api.ecr import authorization_tokens, images, policies, repositories, tags
from wherry.api.ecs.table import Operation, Refused
from wherry.model.errors import InvalidParameterException


def _refused(sentence: str) -> Refused:
    return Refused(sentence, InvalidParameterException)


_LAYERS = _refused("Layers go by docker push and docker pull, at /v2/ of this endpoint.")
_LIFECYCLE = _refused("Images stay until somebody deletes them. Use BatchDeleteImage, on a schedule of yours.")
_SCANNING = _refused("Wherry does not scan images. Scan where they are built.")
_POLICIES = _refused(
    "Repositories have no policies of their own in Wherry. Policies of roles and users say who may do what with one."
)
_REPLICATION = _refused("Wherry is one region: images are not replicated. Push them wherever they are needed.")
_CACHES = _refused("Wherry does not pull from other registries. Push the images that tasks need.")
_TEMPLATES = _refused("Create repositories by CreateRepository, or start with WHERRY_REGISTRY=create-on-push.")
_SIGNING = _refused("Wherry does not sign images. Sign them where they are built.")
_ARCHIVE = _refused("Wherry archives no images and writes down no pulls.")
_SETTINGS = _refused("The registry has no account settings here.")

OPERATIONS: Mapping[str, Operation | Refused] = {
    "BatchCheckLayerAvailability": _LAYERS,
    "BatchDeleteImage": images.batch_delete_image,
    "BatchGetImage": images.batch_get_image,
    "BatchGetRepositoryScanningConfiguration": _SCANNING,
    "CompleteLayerUpload": _LAYERS,
    "CreatePullThroughCacheRule": _CACHES,
    "CreateRepository": repositories.create_repository,
    "CreateRepositoryCreationTemplate": _TEMPLATES,
    "DeleteLifecyclePolicy": policies.delete_lifecycle_policy,
    "DeletePullThroughCacheRule": _CACHES,
    "DeleteRegistryPolicy": policies.delete_registry_policy,
    "DeleteRepository": repositories.delete_repository,
    "DeleteRepositoryCreationTemplate": _TEMPLATES,
    "DeleteRepositoryPolicy": policies.delete_repository_policy,
    "DeleteSigningConfiguration": _SIGNING,
    "DeregisterPullTimeUpdateExclusion": _ARCHIVE,
    "DescribeImageReplicationStatus": _REPLICATION,
    "DescribeImageScanFindings": _SCANNING,
    "DescribeImageSigningStatus": _SIGNING,
    "DescribeImages": images.describe_images,
    "DescribePullThroughCacheRules": _CACHES,
    "DescribeRegistry": policies.describe_registry,
    "DescribeReplicationBackfillResults": _REPLICATION,
    "DescribeRepositories": repositories.describe_repositories,
    "DescribeRepositoryCreationTemplates": _TEMPLATES,
    "GetAccountSetting": _SETTINGS,
    "GetAuthorizationToken": authorization_tokens.get_authorization_token,
    "GetDownloadUrlForLayer": _LAYERS,
    "GetLifecyclePolicy": policies.get_lifecycle_policy,
    "GetLifecyclePolicyPreview": _LIFECYCLE,
    "GetRegistryPolicy": policies.get_registry_policy,
    "GetRegistryScanningConfiguration": _SCANNING,
    "GetRepositoryPolicy": policies.get_repository_policy,
    "GetSigningConfiguration": _SIGNING,
    "InitiateLayerUpload": _LAYERS,
    "ListImageReferrers": _refused("Wherry keeps no referrers of images."),
    "ListImages": images.list_images,
    "ListPullTimeUpdateExclusions": _ARCHIVE,
    "ListReplicationBackfills": _REPLICATION,
    "ListTagsForResource": tags.list_tags_for_resource,
    "PutAccountSetting": _SETTINGS,
    "PutImage": images.put_image,
    "PutImageScanningConfiguration": repositories.put_image_scanning_configuration,
    "PutImageTagMutability": repositories.put_image_tag_mutability,
    "PutLifecyclePolicy": _LIFECYCLE,
    "PutRegistryPolicy": _POLICIES,
    "PutRegistryScanningConfiguration": _SCANNING,
    "PutReplicationConfiguration": _REPLICATION,
    "PutSigningConfiguration": _SIGNING,
    "RegisterPullTimeUpdateExclusion": _ARCHIVE,
    "SetRepositoryPolicy": _POLICIES,
    "StartImageScan": _SCANNING,
    "StartLifecyclePolicyPreview": _LIFECYCLE,
    "StartReplicationBackfill": _REPLICATION,
    "StopReplicationBackfill": _REPLICATION,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateImageStorageClass": _ARCHIVE,
    "UpdatePullThroughCacheRule": _CACHES,
    "UpdateRepositoryCreationTemplate": _TEMPLATES,
    "UploadLayerPart": _LAYERS,
    "ValidatePullThroughCacheRule": _CACHES,
}
