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


def authenticate(
    request: Request,
    operation: Operation,
    protocol: Protocol,
    *,
    trust: Trust,
    region: str,
    account_id: str,
    now: float,
) -> Principal:
    """Who calls; raises `WireError`. A believing listener reads nothing of the signature but the access key id."""
    if not trust.verifies or trust.credentials is None:
        return administrator(account_id, sigv4.scope_of(request)[0])
    try:
        claim = sigv4.read(request)
        secret = sigv4.verify(
            request,
            claim,
            secret=trust.credentials(claim.access_key_id),
            region=region,
            service=operation.service.signing_name,
            now=now,
            unsigned_payload=operation.unsigned_payload,
        )
    except SignatureError as error:
        code, status = _CODES[error.reason][protocol]
        raise WireError(code, str(error), status=status) from error
    return Principal(account_id=account_id, arn=secret.principal_arn, access_key_id=claim.access_key_id)
