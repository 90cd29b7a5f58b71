"""Staging labels: which version has which, and how they move. Pure: a mapping of label to version id in, another out.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from wherry.model.errors import InvalidParameterException, LimitExceededException, ResourceNotFoundException

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"
LABELS_PER_VERSION = 20
VERSIONS = 100
"""How many versions a secret keeps; those with a label always count first."""

Stages = Mapping[str, str]
"""Label -> id of the version that has it. A label is on one version only."""


def of_version(stages: Stages, version_id: str) -> list[str]:
    """Return the labels of a version, sorted as AWS shows them."""
    return sorted(label for label, holder in stages.items() if holder == version_id)


def by_version(stages: Stages) -> dict[str, list[str]]:
    """Return version id -> labels, for every version that has any."""
    return {version_id: of_version(stages, version_id) for version_id in sorted(set(stages.values()))}


def attached(stages: Stages, version_id: str, labels: Collection[str]) -> dict[str, str]:
    """Attach labels to a version, taking them from wherever they are; raises LimitExceededException.

    The first version of a secret becomes AWSCURRENT in any case. Where AWSCURRENT moves, AWSPREVIOUS follows it to the
    version that it leaves.
    """
    wanted = {*labels, CURRENT} if not stages else set(labels)
    moved = dict(stages) | dict.fromkeys(wanted, version_id)
    left = stages.get(CURRENT)
    if CURRENT in wanted and left is not None and left != version_id:
        moved[PREVIOUS] = left
    for holder, its_labels in by_version(moved).items():
        if len(its_labels) > LABELS_PER_VERSION:
            raise LimitExceededException(f"Version {holder} would have more than {LABELS_PER_VERSION} staging labels.")
    if len(set(moved.values())) > VERSIONS:
        raise LimitExceededException(
            f"More than {VERSIONS} versions would have staging labels. Remove some with UpdateSecretVersionStage first."
        )
    return moved


def updated(
    stages: Stages, label: str, versions: Collection[str], *, remove_from: str | None, move_to: str | None
) -> dict[str, str]:
    """Carry out UpdateSecretVersionStage over a secret's `versions`; raises what AWS raises."""
    if remove_from is None and move_to is None:
        raise InvalidParameterException("You must specify MoveToVersionId, RemoveFromVersionId, or both.")
    for version_id in (remove_from, move_to):
        if version_id is not None and version_id not in versions:
            raise ResourceNotFoundException(
                f"Secrets Manager can't find the specified secret value for VersionId: {version_id}"
            )
    holder = stages.get(label)
    _check_holder(label, holder, remove_from=remove_from, move_to=move_to)
    if move_to is not None:
        return attached(stages, move_to, [label])
    if label == CURRENT:
        raise InvalidParameterException(
            "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed."
        )
    return {name: version_id for name, version_id in stages.items() if name != label}


def _check_holder(label: str, holder: str | None, *, remove_from: str | None, move_to: str | None) -> None:
    if remove_from is not None and remove_from != holder:
        raise InvalidParameterException(f"The staging label {label} is not attached to version {remove_from}.")
    if remove_from is None and holder not in (None, move_to):
        raise InvalidParameterException(
            f"The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version "
            f"{holder}, so you must explicitly reference that version in RemoveFromVersionId."
        )


def outdated(stages: Stages, versions: Sequence[str]) -> Iterable[str]:
    """Tell which versions go, of all, the oldest first: those without a label beyond what a secret keeps."""
    labelled = set(stages.values())
    unlabelled = [version_id for version_id in versions if version_id not in labelled]
    return unlabelled[: max(0, len(versions) - VERSIONS)]
