"""How a task gets at images that are not for everybody: ECR's by a token, others by a user and password in a secret.

What is in a secret is fetched with the task's other secrets, before anything is pulled. A token is asked for only when
an image is really pulled. Neither is written down anywhere.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

import msgspec

from wherry.agent.link.base import AccessKey, ControlPlane, RefusedError
from wherry.agent.runtime.base import Access, Login, RuntimeFault
from wherry.agent.spec import AsmAuth, ContainerSpec, EcrAuth, TaskSpec
from wherry.agent.supplies import secrets
from wherry.model.ecr import names
from wherry.model.secret_reference import SecretReference

Logins = Mapping[str, Login]
"""What secrets say, by `credentialsParameter`."""

_UNREADABLE = "registry auth is no JSON object with the texts username and password"


class _Secret(msgspec.Struct, frozen=True):
    username: str
    password: str


async def fetch(task: TaskSpec, control_plane: ControlPlane, signer: AccessKey | None) -> Logins:
    """Fetch the credentials of every private registry that a task pulls from, in the name of its execution role.

    Raises `RuntimeFault` (ResourceInitializationError) for those that cannot be had, and `UnreachableError`.
    """
    asked = [container.registry_auth for container in task.containers]
    found: dict[str, Login] = {}
    for parameter in {auth.credentials_parameter for auth in asked if isinstance(auth, AsmAuth)}:
        text = await secrets.secret(SecretReference(secret_arn=parameter, region=""), control_plane, signer)
        try:
            decoded = msgspec.json.decode(text, type=_Secret)
        except (msgspec.MsgspecError, RecursionError):
            # The error would show a part of the secret.
            raise secrets.fault("unable to retrieve secret from asm", f"{parameter}: {_UNREADABLE}") from None
        found[parameter] = Login(username=decoded.username, password=decoded.password)
    return found


def access(
    task: TaskSpec,
    container: ContainerSpec,
    logins: Logins,
    control_plane: ControlPlane,
    signer: Callable[[], AccessKey | None],
) -> Access | None:
    """Tell how a container's image is to be got at; None: like anybody.

    `signer` is asked where that is for the execution role to do; what it raises, this raises.
    """
    match container.registry_auth:
        case AsmAuth(credentials_parameter=parameter):
            return Access(owner=parameter, login=partial(_known, logins[parameter]))
        case EcrAuth() as auth:
            signing = signer() if auth.use_execution_role else None
            owner = signing.access_key_id if signing is not None else "agent"
            return Access(owner=owner, login=partial(_ecr, task, container.image, auth, control_plane, signing))
        case _:
            return None


async def _known(login: Login) -> Login:
    return login


async def _ecr(
    task: TaskSpec, image: str, auth: EcrAuth, control_plane: ControlPlane, signer: AccessKey | None
) -> Login:
    """Get a token, and with it where the registry is by which it is taken: the image's name says that for people."""
    try:
        answer = await control_plane.call(
            "GetAuthorizationToken", {"registryIds": [auth.registry_id]}, service="ecr", signer=signer
        )
    except RefusedError as error:
        raise _refused(task, str(error)) from error
    try:
        data = answer["authorizationData"][0]
        user, _, password = base64.b64decode(data["authorizationToken"], validate=True).decode().partition(":")
        host = urlsplit(data["proxyEndpoint"]).netloc
    except (LookupError, TypeError, ValueError, binascii.Error) as error:
        raise _refused(task, "GetAuthorizationToken has answered without a token") from error
    return Login(username=user, password=password, source=f"{host}/{names.within(image)}")


def _refused(task: TaskSpec, why: str) -> RuntimeFault:
    if task.launch_type == "FARGATE":
        return secrets.fault("unable to retrieve ecr registry auth", why)
    return RuntimeFault("CannotPullECRContainerError", why)
