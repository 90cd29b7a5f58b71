"""The operations of STS that are done or refused; every other one is refused as unknown."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.api.ecs.table import Operation, Refused
from wherry.api.iam.table import checked
from wherry.api.sts import credentials, identity
from wherry.model.iam.errors import InvalidAuthorizationMessageException

OPERATIONS: Mapping[str, Operation | Refused] = {
    "AssumeRole": checked(credentials.assume_role),
    "DecodeAuthorizationMessage": Refused(
        "Wherry says in plain words what was denied and why. Read the message of the denial.",
        InvalidAuthorizationMessageException,
    ),
    "GetAccessKeyInfo": checked(identity.get_access_key_info),
    "GetCallerIdentity": identity.get_caller_identity,
    "GetSessionToken": checked(credentials.get_session_token),
}
