"""What `valueFrom` of a secret names: a parameter of SSM Parameter Store, or a part of a secret of Secrets Manager.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
"""

from __future__ import annotations

import re

from wherry.model.base import Value


class ParameterReference(Value, frozen=True, tag="ssm"):
    """A parameter as GetParameters takes it: its name or ARN, with `:version` or `:label` behind it if one is meant.

    `region` is None where a bare name leaves it to the task's region.
    """

    parameter: str
    region: str | None = None


class SecretReference(Value, frozen=True, tag="secretsmanager"):
    """A secret by its ARN. `json_key` picks a value of a JSON object; without it the whole text is meant.

    Without `version_stage` and `version_id` it is the version that is AWSCURRENT.
    """

    secret_arn: str
    region: str
    json_key: str | None = None
    version_stage: str | None = None
    version_id: str | None = None


_ARN = re.compile(r"arn:aws[a-z-]*:([a-z]+):([a-z0-9-]+):(\d{12}):(.+)", re.DOTALL)
_PARAMETER = re.compile(r"[\w./-]+(?::[\w.-]+)?", re.ASCII)
_SECRET = re.compile(r"[\w/+=.@!-]+", re.ASCII)

_FORMS = (
    "Write the name or ARN of an SSM parameter, or the ARN of a secret of Secrets Manager, "
    "which :json-key:version-stage:version-id may follow."
)


def parse(value_from: str) -> ParameterReference | SecretReference:
    """Read a `valueFrom`; raises `ValueError` with a sentence."""
    if not value_from.startswith("arn:"):
        return _parameter(value_from, value_from, region=None)
    found = _ARN.fullmatch(value_from)
    service, region, resource = (found[1], found[2], found[4]) if found else ("", "", "")
    if service == "ssm" and resource.startswith("parameter/"):
        return _parameter(value_from, resource.removeprefix("parameter/"), region=region)
    if service == "secretsmanager" and resource.startswith("secret:"):
        return _secret(value_from, region)
    raise ValueError(f"The secret '{value_from}' has an ARN that ECS cannot read. {_FORMS}")


def _parameter(text: str, name: str, *, region: str | None) -> ParameterReference:
    if not _PARAMETER.fullmatch(name):
        raise ValueError(f"The secret '{text}' is no name of an SSM parameter. {_FORMS}")
    return ParameterReference(parameter=text, region=region)


def _secret(text: str, region: str) -> SecretReference:
    parts = text.split(":")
    arn, selectors = ":".join(parts[:7]), parts[7:]
    if not _SECRET.fullmatch(parts[6]):
        raise ValueError(f"The secret '{text}' has no name that a secret can have. {_FORMS}")
    if len(selectors) not in (0, 3):
        raise ValueError(
            f"The secret '{text}' must end with its ARN or with all of :json-key:version-stage:version-id, "
            "each of which may be empty."
        )
    json_key, version_stage, version_id = (part or None for part in selectors or ("", "", ""))
    return SecretReference(
        secret_arn=arn, region=region, json_key=json_key, version_stage=version_stage, version_id=version_id
    )
