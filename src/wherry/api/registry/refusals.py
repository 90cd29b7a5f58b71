"""Errors as the distribution specification words them."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from wherry.model.errors import ApiError

_CODES = {
    "RepositoryNotFoundException": (404, "NAME_UNKNOWN"),
    "ImageNotFoundException": (404, "MANIFEST_UNKNOWN"),
    "ImageTagAlreadyExistsException": (400, "TAG_INVALID"),
    "LayersNotFoundException": (400, "MANIFEST_BLOB_UNKNOWN"),
    "InvalidParameterException": (400, "NAME_INVALID"),
    "AccessDeniedException": (403, "DENIED"),
    "ServerException": (503, "UNAVAILABLE"),
}


def refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """Answer with one error."""
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status_code=status, headers=headers)


def of(error: ApiError) -> Response:
    """Answer with an error of ECR."""
    status, code = _CODES.get(error.code, (error.status, "UNKNOWN"))
    return refusal(status, code, error.message)


def unauthorized(message: str, *, realm: str) -> Response:
    """Ask for credentials, as ECR does."""
    challenge = f'Basic realm="{realm}/",service="ecr.amazonaws.com"'
    return refusal(401, "UNAUTHORIZED", message, {"www-authenticate": challenge})
