"""From a request to a principal, with each protocol's own words for what is wrong with a signature."""

from __future__ import annotations

from wherry.model.call import Principal
from wherry.wire import sigv4
from wherry.wire.errors import WireError
from wherry.wire.message import Protocol, Request
from wherry.wire.models import Operation
from wherry.wire.sigv4 import Reason, SignatureError
from wherry.wire.trust import Trust, administrator

_CODES: dict[Reason, dict[Protocol, tuple[str, int]]] = {
    Reason.MISSING: {
        "json": ("MissingAuthenticationTokenException", 400),
        "query": ("MissingAuthenticationToken", 403),
        "ec2": ("AuthFailure", 401),
    },
    Reason.INCOMPLETE: {
        "json": ("IncompleteSignatureException", 400),
        "query": ("IncompleteSignature", 400),
        "ec2": ("AuthFailure", 401),
    },
    Reason.UNKNOWN_KEY: {
        "json": ("UnrecognizedClientException", 400),
        "query": ("InvalidClientTokenId", 403),
        "ec2": ("AuthFailure", 401),
    },
    Reason.MISMATCH: {
        "json": ("InvalidSignatureException", 400),
        "query": ("SignatureDoesNotMatch", 403),
        "ec2": ("AuthFailure", 401),
    },
    Reason.EXPIRED: {
        "json": ("ExpiredTokenException", 400),
        "query": ("ExpiredToken", 403),
        "ec2": ("RequestExpired", 400),
    },
}


_GLOBAL = frozenset({"iam", "sts"})
_GLOBAL_REGION = "us-east-1"
"""The region for which clients sign calls of global services, wherever they are."""


async def authenticate(
    request: Request,
    operation: Operation,
    protocol: Protocol,
    *,
    trust: Trust,
    region: str,
    account_id: str,
    now: float,
) -> Principal:
    """Who calls; raises `WireError`."""
    try:
        return await principal_of(
            request,
            trust=trust,
            region=region,
            service=operation.service.signing_name,
            account_id=account_id,
            now=now,
            unsigned_payload=operation.unsigned_payload,
        )
    except SignatureError as error:
        code, status = _CODES[error.reason][protocol]
        raise WireError(code, str(error), status=status) from error


async def principal_of(
    request: Request,
    *,
    trust: Trust,
    region: str,
    service: str,
    account_id: str,
    now: float,
    unsigned_payload: bool = False,
) -> Principal:
    """Who calls the service of that signing name; raises `SignatureError`.

    A believing listener takes everyone for the administrator whose key is not that of a user or role.
    """
    key_id, token = sigv4.scope_of(request)[0], sigv4.token_of(request)
    secret = None
    if trust.credentials is not None and key_id:
        secret = await trust.credentials(key_id, token)
    if not trust.verifies and (secret is None or secret.principal.is_administrator):
        return administrator(account_id, key_id)
    claim = sigv4.read(request)
    is_global = service in _GLOBAL and claim.region == _GLOBAL_REGION
    return sigv4.verify(
        request,
        claim,
        secret=secret,
        region=_GLOBAL_REGION if is_global else region,
        service=service,
        now=now,
        unsigned_payload=unsigned_payload,
    ).principal
