"""How the agent gets at a container's image, as the payload says it."""

from __future__ import annotations

from urllib.parse import urlsplit

from wherry.model import arn
from wherry.model.arn import Scope
from wherry.model.ecr.names import RegistryNames
from wherry.model.protocol.container import AsmAuthData, EcrAuthData, RegistryAuthentication
from wherry.model.taskdef import ContainerDefinition
from wherry.settings import TASKS_ADDRESS, Settings


def registry_names(settings: Settings, scope: Scope) -> RegistryNames | None:
    """Tell by which names images may mean the registry of this control plane; None: it has none."""
    if settings.registry == "off":
        return None
    hosts = {settings.listen, "localhost", "127.0.0.1", TASKS_ADDRESS}
    return RegistryNames(
        account_id=scope.account_id,
        region=scope.region,
        hosts=frozenset(f"{host}:{settings.port}" for host in hosts) | {urlsplit(settings.base_url).netloc},
    )


def registry_authentication(
    image: str,
    defined: ContainerDefinition,
    *,
    has_execution_role: bool,
    region: str,
    names: RegistryNames | None,
) -> RegistryAuthentication | None:
    """Say which credentials an image needs: those of a secret, or a token of our own registry."""
    if (credentials := defined.repository_credentials) is not None:
        parameter = credentials.credentials_parameter
        named = arn.region_of(parameter) if parameter.startswith("arn:") else region
        data = AsmAuthData(credentials_parameter=parameter, region=named)
        return RegistryAuthentication(type="asm", asm_auth_data=data)
    if names is None or not names.know(image):
        return None
    return RegistryAuthentication(
        type="ecr",
        ecr_auth_data=EcrAuthData(
            region=names.region,
            registry_id=names.account_id,
            use_execution_role=has_execution_role,
        ),
    )
