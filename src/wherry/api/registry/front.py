"""The registry's front: who asks is known by a token, may do what policies say, and speaks of repositories that exist.

Tags and images are rows; layers, of any size, pass through in pieces and are never whole in memory.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from urllib.parse import parse_qs, urlencode

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from wherry.api.authorization import decide
from wherry.api.context import Context
from wherry.api.ecr import changes, lookup, repositories
from wherry.api.registry import refusals, requests, tokens
from wherry.api.registry.content import Answer, Content, ContentUnavailableError
from wherry.api.registry.requests import Wanted
from wherry.model import ids
from wherry.model.call import Call, Principal
from wherry.model.ecr import manifest as manifests
from wherry.model.ecr import names
from wherry.model.ecr.errors import ImageNotFoundException
from wherry.model.ecr.repository import Image, ImageTag, Repository
from wherry.model.errors import ApiError, InvalidParameterException
from wherry.store import Tx

log = structlog.get_logger()

_VERSION = {"docker-distribution-api-version": "registry/2.0"}
_ASKED = ("content-length", "content-range", "range", "accept")
_ANSWERED = (
    *("content-type", "content-length", "content-range", "accept-ranges", "etag", "cache-control"),
    *("docker-content-digest", "docker-upload-uuid", "location", "range"),
)
"""The headers that pass through, each way."""
_LAYER = {"content-type": "application/octet-stream"}
"""What every body is that passes through: as a form it could say to the registry what the query does not."""

_COUNT = re.compile(r"[0-9]{1,9}")


class Front:
    """An ASGI application for everything below /v2/; `admit` raises `ApiError` for what it must not be asked."""

    def __init__(self, ctx: Context, *, admit: Callable[[Scope], None]) -> None:
        """Answer for the registry of a control plane, or say that it has none."""
        self._ctx = ctx
        self._admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: errors of ours become answers."""
        request = Request(scope, receive)
        try:
            self._admit(scope)
            response = await self._respond(request, send)
        except ClientDisconnect:
            return
        except tokens.WrongTokenError as error:
            response = refusals.unauthorized(str(error), realm=_origin(request))
        except ContentUnavailableError as error:
            log.warning("registry_unavailable", error=str(error))
            response = refusals.refusal(503, "UNAVAILABLE", "The registry does not answer. Try again in a moment.")
        except ApiError as error:
            response = refusals.of(error)
        if response is not None:
            response.headers.update(_VERSION)
            await response(scope, receive, send)

    async def _respond(self, request: Request, send: Send) -> Response | None:
        """Make the answer; None if it has been sent in pieces."""
        content = self._ctx.registry
        if content is None:
            return refusals.refusal(404, "UNSUPPORTED", lookup.SWITCHED_OFF)
        authorization = request.headers.get("authorization", "")
        principal = tokens.read(self._ctx.keyring, authorization, now=self._ctx.clock())
        path = (request.scope.get("raw_path") or request.scope["path"].encode()).decode(errors="replace")
        if path == "/v2/":
            return JSONResponse({})
        wanted = requests.understand(request.method, path, request.scope["query_string"].decode(errors="replace"))
        if wanted is None:
            return refusals.refusal(405, "UNSUPPORTED", f"The registry does not do {request.method} {path}.")
        lookup.check_repository_name(wanted.repository)
        await self._permit(request, wanted, principal)
        if wanted.kind == "manifests":
            return await (self._put(request, wanted) if request.method == "PUT" else self._get(content, wanted))
        if wanted.kind == "tags":
            return await self._tags(wanted)
        await _pass_on(content, request, send, await self._mounting(request, wanted, principal))
        return None

    async def _permit(self, request: Request, wanted: Wanted, principal: Principal) -> None:
        """Let pass who may do it in a repository that exists, or comes to exist by this; raises `ApiError`."""
        ctx, account = self._ctx, self._ctx.scope.account_id
        await decide.authorize(ctx, self._call(request, wanted.operation, wanted.repository, principal))
        if ctx.settings.registry == "create-on-push" and wanted.begins_a_push:
            if await ctx.store.read(Tx.get, Repository, wanted.repository) is not None:
                return
            await decide.authorize(ctx, self._call(request, "CreateRepository", wanted.repository, principal))
            new = Repository(repository_name=wanted.repository, created_at=ctx.clock())
            await ctx.store.write(repositories.make, new)
        await ctx.store.read(lookup.repository, wanted.repository, account, account)

    async def _mounting(self, request: Request, wanted: Wanted, principal: Principal) -> Wanted:
        """Let a layer be taken over from another repository only by who may pull from there; else it is uploaded.

        Queries can be read in several ways: the registry behind is given what was read here, and nothing else.
        """
        if wanted.operation != "InitiateLayerUpload":
            return wanted
        query, unmounted = parse_qs(wanted.query), msgspec.structs.replace(wanted, query="")
        layer, source = query.get("mount", [""])[0], query.get("from", [""])[0]
        if not layer or not source:
            return unmounted
        lookup.check_repository_name(source)
        try:
            await decide.authorize(self._ctx, self._call(request, "GetDownloadUrlForLayer", source, principal))
        except ApiError:
            return unmounted
        return msgspec.structs.replace(wanted, query=urlencode({"mount": layer, "from": source}, safe=":/"))

    def _call(self, request: Request, operation: str, repository: str, principal: Principal) -> Call:
        return Call(
            service="ecr",
            operation=operation,
            params={"repositoryName": repository},
            principal=principal,
            region=self._ctx.scope.region,
            request_id=ids.uuid(self._ctx.entropy),
            source_ip=request.client.host if request.client else "",
            endpoint=_origin(request),
        )

    async def _get(self, content: Content, wanted: Wanted) -> Response:
        by_digest = names.DIGEST.fullmatch(wanted.reference) is not None
        asked = {"digest": wanted.reference} if by_digest else {"tag": wanted.reference}
        if not by_digest:
            lookup.check_tag(wanted.reference)

        def find(tx: Tx) -> Image | None:
            return lookup.image(tx, wanted.repository, **asked)

        image = await self._ctx.store.read(find)
        text = await content.manifest(wanted.repository, image.image_digest) if image is not None else None
        if image is None or text is None:
            raise ImageNotFoundException("Requested image not found")
        digest = image.image_digest
        headers = {"docker-content-digest": digest, "etag": f'"{digest}"'}
        return Response(text, media_type=image.media_type, headers=headers)

    async def _put(self, request: Request, wanted: Wanted) -> Response:
        text, media_type = await _manifest(request), request.headers.get("content-type", "").partition(";")[0].strip()
        by_digest = names.DIGEST.fullmatch(wanted.reference) is not None
        try:
            manifest = manifests.read(text, media_type or None)
        except manifests.ManifestError as error:
            return refusals.refusal(400, "MANIFEST_INVALID", str(error))
        if by_digest and wanted.reference != manifest.digest:
            sentence = f"The manifest's digest is {manifest.digest}, not {wanted.reference}."
            return refusals.refusal(400, "DIGEST_INVALID", sentence)
        if not by_digest:
            lookup.check_tag(wanted.reference)
        tag = None if by_digest else wanted.reference
        try:
            await changes.push(self._ctx, wanted.repository, manifest, text, tag=tag)
        except changes.Unchanged:
            log.debug("image_unchanged", repository=wanted.repository, digest=manifest.digest)
        location = f"/v2/{wanted.repository}/manifests/{manifest.digest}"
        return Response(status_code=201, headers={"location": location, "docker-content-digest": manifest.digest})

    async def _tags(self, wanted: Wanted) -> Response:
        """List tags in their order, from `last` on and at most `n`, as the specification has it."""
        query = parse_qs(wanted.query)
        last, most = query.get("last", [""])[0], query.get("n", [""])[0]
        if most and not _COUNT.fullmatch(most):
            raise InvalidParameterException("n is the number of tags to list.")

        def read(tx: Tx) -> list[ImageTag]:
            return tx.find(ImageTag, repository_name=wanted.repository, order="tag")

        tags = [one.tag for one in await self._ctx.store.read(read) if one.tag > last]
        page = tags[: int(most)] if most else tags
        headers = {}
        if 0 < len(page) < len(tags):
            headers["link"] = f'</v2/{wanted.repository}/tags/list?n={most}&last={page[-1]}>; rel="next"'
        return JSONResponse({"name": wanted.repository, "tags": page}, headers=headers)


async def _manifest(request: Request) -> bytes:
    """Read a manifest, up to one byte more than it may have."""
    text = bytearray()
    async for piece in request.stream():
        text += piece[: manifests.MAX_BYTES + 1 - len(text)]
    return bytes(text)


async def _pass_on(content: Content, request: Request, send: Send, wanted: Wanted) -> None:
    """Carry a request to the registry behind and its answer back, as fast as the slower side takes them."""
    headers = {name: request.headers[name] for name in _ASKED if name in request.headers}
    has_body = "transfer-encoding" in request.headers or headers.get("content-length", "0") != "0"
    body = _pieces(request) if has_body else None
    headers |= _LAYER if has_body else {}
    async with content.pass_on(request.method, wanted.target, headers, body) as answer:
        await _relay(answer, request, send)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        if piece:
            yield piece


async def _relay(answer: Answer, request: Request, send: Send) -> None:
    passed = {**{name: answer.headers[name] for name in _ANSWERED if name in answer.headers}, **_VERSION}
    await send({"type": "http.response.start", "status": answer.status, "headers": _raw(passed)})
    try:
        if request.method != "HEAD":
            async for piece in answer.body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    except ContentUnavailableError as error:
        # The head is gone: an answer that is left unfinished ends the connection, which tells the client.
        log.warning("layer_broke_off", target=request.url.path, error=str(error))
        return
    await send({"type": "http.response.body", "body": b""})


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _origin(request: Request) -> str:
    return str(request.base_url).rstrip("/")
