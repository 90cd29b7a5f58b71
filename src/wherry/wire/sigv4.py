"""Signature Version 4, the server's side: read a claim from a request, then prove it.

Canonicalisation is AWS's for every service but S3: the path is normalised and encoded twice, header values are folded,
the query is decoded, encoded and sorted.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
import hmac
import posixpath
import re
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_plus

import msgspec

from wherry.model.call import Principal
from wherry.wire.message import Request

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS = 5 * 60
MAX_EXPIRES = 7 * 24 * 3600
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_FORMAT = "%Y%m%dT%H%M%SZ"
_SAFE = "-_.~"
_SCOPE = re.compile(r"(?:Credential=|^)([\w-]{1,128})/\d{8}/[\w-]{1,64}/([\w-]{1,64})/aws4_request", re.ASCII)


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What the server knows of an access key; its `repr` gives nothing away."""

    secret_access_key: str
    principal: Principal
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Secret({self.principal.arn!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # msgspec's own would tell all
        return [("principal", self.principal.arn)]


class Reason(enum.Enum):
    """Why a request is not who it says; each protocol has its own code for it."""

    MISSING = "there is no signature"
    INCOMPLETE = "the signature cannot be read"
    UNKNOWN_KEY = "the access key or its session token is not known"
    MISMATCH = "the signature is another one, or not of this time"
    EXPIRED = "the presigned request is too old, or the session token has come to its end"


class SignatureError(Exception):
    """The request's signature proves nothing."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Say the `message` that AWS says for `reason`."""
        super().__init__(message)
        self.reason = reason


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A signature as presented, unproven. `signed_at` is in epoch seconds; `expires` in seconds, presigned only."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    signed_at: float
    token: str | None
    expires: int | None

    @property
    def scope(self) -> str:
        """The credential scope."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def read(request: Request) -> Claim:
    """The claim of the `Authorization` header or of the query string; raises `SignatureError`."""
    query = dict(_query_pairs(request.query))
    header = request.header("authorization")
    if header is None and "X-Amz-Signature" not in query:
        raise SignatureError(Reason.MISSING, "Missing Authentication Token")
    if header is None:
        return _read_query(request, query)
    if "X-Amz-Signature" in query or len(list(request.all("authorization"))) > 1:
        raise SignatureError(Reason.INCOMPLETE, "Only one auth mechanism is allowed: the header or the query string.")
    return _read_header(request, header)


def scope_of(request: Request) -> tuple[str, str]:
    """Access key id and signing name as far as they can be read, without judging; empty when they cannot."""
    text = request.header("authorization") or _query_value(request, "X-Amz-Credential") or ""
    found = _SCOPE.search(text)
    return (found[1], found[2]) if found else ("", "")


def token_of(request: Request) -> str | None:
    """The session token that a request shows, without judging."""
    found = request.header("x-amz-security-token")
    return found if found is not None else _query_value(request, "X-Amz-Security-Token")


def verify(
    request: Request,
    claim: Claim,
    *,
    secret: Secret | None,
    region: str,
    service: str,
    now: float,
    unsigned_payload: bool = False,
) -> Secret:
    """The `secret` that `claim` proves, in the server's `region`, for the `service` of that signing name.

    Raises `SignatureError`. `unsigned_payload` says whether the operation may be signed without its body.
    """
    if secret is None or not _same(claim.token or "", secret.session_token or ""):
        raise SignatureError(Reason.UNKNOWN_KEY, "The security token included in the request is invalid.")
    _check_time(claim, now)
    if claim.region != region:
        raise _mismatch(f"Credential should be scoped to a valid region, not '{claim.region}'.")
    if claim.service != service:
        raise _mismatch(f"Credential should be scoped to correct service: '{service}'.")
    payload = _payload_hash(request, unsigned_payload=unsigned_payload)
    canonical = canonical_request(request, claim.signed_headers, payload)
    digest = hashlib.sha256(_bytes(canonical)).hexdigest()
    to_sign = f"{ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{digest}"
    key = _signing_key(secret.secret_access_key, claim.date, claim.region, claim.service)
    if not _same(_hmac(key, to_sign).hex(), claim.signature):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )
    return secret


def canonical_request(request: Request, signed_headers: tuple[str, ...], payload: str) -> str:
    """The canonical form of the request with `payload` as the hash of its body."""
    headers = (
        f"{name}:{','.join(' '.join(value.split()) for value in request.all(name))}\n" for name in signed_headers
    )
    pairs = sorted(
        (quote(_bytes(name), safe=_SAFE), quote(_bytes(value), safe=_SAFE))
        for name, value in _query_pairs(request.query)
        if name != "X-Amz-Signature"
    )
    return "\n".join(
        (
            request.method.upper(),
            _canonical_path(request.path),
            "&".join(f"{name}={value}" for name, value in pairs),
            "".join(headers),
            ";".join(signed_headers),
            payload,
        )
    )


def _read_header(request: Request, header: str) -> Claim:
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm[:32]}'; use {ALGORITHM}.")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    for name in ("Credential", "Signature", "SignedHeaders"):
        if not parts.get(name):
            raise _incomplete(f"Authorization header requires '{name}' parameter.")
    stamp = _header_stamp(request)
    claim = _claim(parts, stamp, token=request.header("x-amz-security-token"), expires=None)
    unsigned = sorted(
        {name for name, _ in request.headers if name.startswith("x-amz-")} - set(claim.signed_headers),
    )
    if unsigned:
        raise _mismatch(f"These headers must be signed: {', '.join(unsigned)}.")
    return claim


def _read_query(request: Request, query: dict[str, str]) -> Claim:
    names = [name for name, _ in _query_pairs(request.query) if name.startswith("X-Amz-")]
    if len(names) != len(set(names)):
        raise _incomplete("A signature parameter occurs twice in the query string.")
    for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"):
        if not query.get(name):
            raise _incomplete(f"AWS query-string parameters must include '{name}'.")
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{query['X-Amz-Algorithm'][:32]}'; use {ALGORITHM}.")
    text = query["X-Amz-Expires"]
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= MAX_EXPIRES:
        raise _incomplete(f"X-Amz-Expires must be a number of seconds from 1 to {MAX_EXPIRES}.")
    parts = {name: query[f"X-Amz-{name}"] for name in ("Credential", "SignedHeaders", "Signature")}
    return _claim(parts, query["X-Amz-Date"], token=query.get("X-Amz-Security-Token"), expires=int(text))


def _claim(parts: dict[str, str], timestamp: str, *, token: str | None, expires: int | None) -> Claim:
    credential = parts["Credential"].split("/")
    if len(credential) != 5 or credential[4] != "aws4_request" or not all(credential):
        raise _incomplete("Credential must be KEY_ID/DATE/REGION/SERVICE/aws4_request.")
    access_key_id, date, region, service, _ = credential
    if not re.fullmatch(r"[\w-]{1,128}", access_key_id, re.ASCII):
        raise _incomplete("The access key id of Credential must be 1 to 128 letters, digits, '_' or '-'.")
    signed_at = _moment(timestamp)
    if date != timestamp[:8]:
        raise _mismatch("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
    signed = tuple(parts["SignedHeaders"].split(";"))
    if "host" not in signed or list(signed) != sorted(set(signed)) or any(name != name.lower() for name in signed):
        raise _incomplete("SignedHeaders must be a sorted list of lower-case names with 'host' among them.")
    return Claim(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=signed,
        signature=parts["Signature"],
        timestamp=timestamp,
        signed_at=signed_at,
        token=token,
        expires=expires,
    )


def _moment(timestamp: str) -> float:
    try:
        if re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", timestamp):
            return dt.datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        pass
    raise _incomplete("Date must be in ISO-8601 'basic format', as in 20150830T123600Z.")


def _header_stamp(request: Request) -> str:
    if (stamp := request.header("x-amz-date")) is not None:
        return stamp
    try:
        return parsedate_to_datetime(request.header("date") or "").astimezone(dt.UTC).strftime(_FORMAT)
    except (ValueError, OverflowError) as error:
        raise _incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        ) from error


def _check_time(claim: Claim, now: float) -> None:
    if claim.signed_at > now + SKEW_SECONDS:
        limit, present = _stamp(now + SKEW_SECONDS), _stamp(now)
        raise _mismatch(
            f"Signature not yet current: {claim.timestamp} is still later than {limit} ({present} + 5 min.)"
        )
    if claim.expires is not None:
        if claim.signed_at + claim.expires < now:
            raise SignatureError(Reason.EXPIRED, "The security token included in the request is expired")
    elif claim.signed_at < now - SKEW_SECONDS:
        limit, present = _stamp(now - SKEW_SECONDS), _stamp(now)
        raise _mismatch(f"Signature expired: {claim.timestamp} is now earlier than {limit} ({present} - 5 min.)")


def _payload_hash(request: Request, *, unsigned_payload: bool) -> str:
    actual = hashlib.sha256(request.body).hexdigest()
    said = request.header("x-amz-content-sha256")
    if said is None or said == actual:
        return actual
    if said == UNSIGNED_PAYLOAD and unsigned_payload:
        return said
    raise _mismatch("The value of x-amz-content-sha256 is not the SHA-256 of the request's body.")


def _canonical_path(path: str) -> str:
    # posixpath.normpath drops the trailing slash, which counts, and keeps a leading "//", which does not.
    normal = posixpath.normpath(f"/{path.lstrip('/')}")
    if path.endswith("/") and normal != "/":
        normal += "/"
    return quote(_bytes(normal), safe="/~")


def _query_value(request: Request, name: str) -> str | None:
    return dict(_query_pairs(request.query)).get(name) if request.query else None


def _query_pairs(query: str) -> list[tuple[str, str]]:
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return [
        (unquote_plus(name, errors="surrogateescape"), unquote_plus(value, errors="surrogateescape"))
        for name, _, value in pairs
    ]


@lru_cache(maxsize=256)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = _bytes(f"AWS4{secret}")
    for part in (date, region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, _bytes(text), "sha256")


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(_bytes(left), _bytes(right))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")  # as `Request` decodes


def _stamp(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime(_FORMAT)


def _incomplete(message: str) -> SignatureError:
    return SignatureError(Reason.INCOMPLETE, message)


def _mismatch(message: str) -> SignatureError:
    return SignatureError(Reason.MISMATCH, message)
