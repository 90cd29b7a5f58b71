"""Values out of SSM Parameter Store and Secrets Manager."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from wherry.agent.link.base import AccessKey, ControlPlane, RefusedError
from wherry.agent.runtime.base import RuntimeFault
from wherry.agent.spec import ContainerSpec, SecretTarget, TaskSpec
from wherry.model import secret_reference
from wherry.model.secret_reference import ParameterReference, SecretReference

Values = Mapping[str, str]
"""What was fetched, by `valueFrom`."""

MOST_PARAMETERS = 10
"""Names in one GetParameters."""


async def fetch(task: TaskSpec, control_plane: ControlPlane, signer: AccessKey | None) -> Values:
    """Fetch every secret of a task in the name of its execution role, or of the agent where it has none.

    Raises `RuntimeFault` (ResourceInitializationError) for one that cannot be had, and `UnreachableError`.
    """
    wanted = {s.value_from: secret_reference.parse(s.value_from) for c in task.containers for s in c.secrets}
    parameters = [text for text, reference in wanted.items() if isinstance(reference, ParameterReference)]
    values: dict[str, str] = {}
    for start in range(0, len(parameters), MOST_PARAMETERS):
        values |= await _parameters(parameters[start : start + MOST_PARAMETERS], control_plane, signer)
    for text, reference in wanted.items():
        if isinstance(reference, SecretReference):
            values[text] = await secret(reference, control_plane, signer)
    return values


def given(container: ContainerSpec, values: Values) -> ContainerSpec:
    """Give a container its values: what was fetched wins over what the definition and the overrides say."""
    environment = {**container.environment, **dict(_of(container, SecretTarget.CONTAINER, values))}
    logs, options = container.logs, dict(_of(container, SecretTarget.LOG_DRIVER, values))
    if logs is not None and options:
        logs = msgspec.structs.replace(logs, options={**logs.options, **options})
    return msgspec.structs.replace(container, environment=environment, logs=logs)


def _of(container: ContainerSpec, target: SecretTarget, values: Values) -> Iterator[tuple[str, str]]:
    return ((s.name, values[s.value_from]) for s in container.secrets if s.target is target)


async def _parameters(names: Sequence[str], control_plane: ControlPlane, signer: AccessKey | None) -> dict[str, str]:
    request = {"Names": list(names), "WithDecryption": True}
    try:
        answer = await control_plane.call("GetParameters", request, service="ssm", signer=signer)
    except RefusedError as error:
        raise fault("unable to retrieve secrets from ssm", str(error)) from error
    found: dict[str, str] = {}
    for parameter in answer.get("Parameters") or ():
        if isinstance(value := parameter.get("Value"), str):
            found |= dict.fromkeys(_names_of(parameter), value)
    if missing := [name for name in names if name not in found]:
        raise fault("unable to retrieve secrets from ssm", f"invalid parameters: {', '.join(missing)}")
    return {name: found[name] for name in names}


def _names_of(parameter: Mapping[str, Any]) -> Iterator[str]:
    """Tell under which texts a parameter may have been asked for: by name or ARN, with its selector or without."""
    selector = parameter.get("Selector") or ""
    for name in (parameter.get("Name"), parameter.get("ARN")):
        if isinstance(name, str):
            yield name + selector


async def secret(reference: SecretReference, control_plane: ControlPlane, signer: AccessKey | None) -> str:
    """Fetch one secret; raises what `fetch` raises."""
    request = {
        "SecretId": reference.secret_arn,
        "VersionId": reference.version_id,
        "VersionStage": reference.version_stage,
    }
    asked = {name: value for name, value in request.items() if value is not None}
    failure = "unable to retrieve secret from asm"
    try:
        answer = await control_plane.call("GetSecretValue", asked, service="secretsmanager", signer=signer)
    except RefusedError as error:
        raise fault(failure, f"failed to fetch secret {reference.secret_arn} from secrets manager: {error}") from error
    text = answer.get("SecretString")
    if not isinstance(text, str):
        raise fault(failure, f"secret {reference.secret_arn} has no text: SecretString is empty")
    if reference.json_key is None:
        return text
    try:
        members = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise fault(failure, f"secret {reference.secret_arn} is no JSON object, and has no json-key") from error
    if reference.json_key not in members:
        raise fault(
            failure,
            f"retrieved secret from Secrets Manager did not contain json key {reference.json_key}",
        )
    value = members[reference.json_key]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def fault(what: str, why: str) -> RuntimeFault:
    """Word the end of a task for which something could not be fetched."""
    return RuntimeFault(
        "ResourceInitializationError",
        f"unable to pull secrets or registry auth: execution resource retrieval failed: {what}: {why}",
    )
