"""Bringing images to the host: pull behaviours, one pull at a time of the same image, and errors as ECS words them.

Texts: the stock agent's agent/api/errormessages.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any, assert_never

import anyio

from wherry.agent.link.base import UnreachableError
from wherry.agent.runtime.base import Access, Image, Login, PullBehavior, RuntimeFault
from wherry.agent.runtime.docker.engine import Engine, EngineError

_NOT_FOUND = "The task can’t pull the image. Check whether the image exists. "  # noqa: RUF001  AWS's own apostrophe
_FORBIDDEN = "The task can’t pull the image. Check that the role has the permissions to pull images from the registry. "  # noqa: RUF001  the same
_UNREACHED = "The task can’t pull the image. Check your network configuration. "  # noqa: RUF001  the same

# The first that matches decides, so a registry that hides what exists by "denied" counts as "does not exist".
_PREFIXES = (
    (re.compile(r"not authorized to perform|unauthorized|no basic auth credentials", re.IGNORECASE), _FORBIDDEN),
    (re.compile(r"manifest unknown|not found|does not exist|access denied|denied:", re.IGNORECASE), _NOT_FOUND),
    (
        re.compile(
            r"request canceled|no such host|dial tcp|i/o timeout|connection refused|network is unreachable"
            r"|server misbehaving|name resolution|TLS handshake timeout|deadline exceeded",
            re.IGNORECASE,
        ),
        _UNREACHED,
    ),
)

_LOCAL_LOOKUP = re.compile(r"lookup \S+ on|no such host")


def pull_fault(text: str) -> RuntimeFault:
    """Word a failed pull, given the engine's own text."""
    # A resolver's "not found" speaks of the registry's host, not of the image.
    searched = _LOCAL_LOOKUP.sub("dial tcp", text).replace("host not found", "dial tcp") if "lookup" in text else text
    for pattern, prefix in _PREFIXES:
        if pattern.search(searched):
            return RuntimeFault("CannotPullContainerError", f"{prefix}Error response from daemon: {text}")
    return RuntimeFault("CannotPullContainerError", f"Error response from daemon: {text}")


def _registry_auth(login: Login | None) -> str | None:
    """Write a login as the engine's API wants it in a header."""
    if login is None:
        return None
    text = json.dumps({"username": login.username, "password": login.password})
    return base64.urlsafe_b64encode(text.encode()).decode()


def split_reference(image: str) -> tuple[str, str]:
    """Split an image into its repository and its tag or digest ("latest" if it says neither)."""
    name, _, digest = image.partition("@")
    last = name.rsplit("/", 1)[-1]
    tag = last.partition(":")[2]
    repository = name.removesuffix(f":{tag}") if tag else name
    return repository, digest or tag or "latest"


def digest_of(image: str, repo_digests: list[str]) -> str | None:
    """Find the registry's digest of an image among the engine's RepoDigests; None for one built on the host."""
    repository, _ = split_reference(image)
    plain = _familiar(repository)
    for entry in repo_digests:
        name, _, digest = entry.partition("@")
        if _familiar(name) == plain:
            return digest
    return None


def _familiar(repository: str) -> str:
    return repository.removeprefix("docker.io/").removeprefix("index.docker.io/").removeprefix("library/")


class _Flight:
    """One pull under way; those who want the same image wait for it."""

    def __init__(self) -> None:
        self.landed = anyio.Event()
        self.arrived = False
        self.fault: RuntimeFault | None = None


class _Sources:
    """Remembers on disk by which other name an image was pulled, for those that were pulled by another."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._path.read_text()))
        except (FileNotFoundError, ValueError):  # none yet, or torn by a crash: they are pulled again
            return {}

    def write(self, sources: dict[str, str]) -> None:
        _write(self._path, sources)


class Images:
    """The images of one engine. `memory_file` remembers what was pulled, which the behaviour `once` asks for."""

    def __init__(self, engine: Engine, memory_file: Path) -> None:
        """Use `engine`; the file is made when something was pulled."""
        self._engine = engine
        self._memory_file = memory_file
        self._flights: dict[tuple[str, str], _Flight] = {}
        self._sources = _Sources(memory_file.with_name("image-sources.json"))

    async def pull(self, image: str, behavior: PullBehavior, access: Access | None = None) -> Image:
        """Bring `image` as `behavior` says; `CannotPullContainerError` if it cannot be had, or what `access` raises."""
        match behavior:
            case PullBehavior.ALWAYS:
                await self._fetch_once(image, access)
            case PullBehavior.DEFAULT:
                return await self._pull_or_cached(image, access)
            case PullBehavior.ONCE:
                if image not in self._remembered() or await self.cached(image) is None:
                    await self._fetch_once(image, access)
            case PullBehavior.PREFER_CACHED:
                if (there := await self.cached(image)) is not None:
                    return there
                await self._fetch_once(image, access)
            case _:
                assert_never(behavior)
        found = await self.cached(image)
        if found is None:
            raise RuntimeFault("CannotPullContainerError", f"{image} was pulled but is gone again")
        return found

    async def cached(self, image: str) -> Image | None:
        """Look the image up on the host."""
        return await self.described(self.local_name(image), image)

    def local_name(self, image: str) -> str:
        """Tell by which name the engine knows an image: one by digest cannot be given the name that it was asked by."""
        return self._sources.read().get(image, image) if "@" in image else image

    async def described(self, key: str, image: str) -> Image | None:
        """Look up what the engine has under `key`, a name or an id, and its digest in the repository of `image`."""
        try:
            found: dict[str, Any] = await self._engine.call("GET", f"images/{key}/json")
        except EngineError as error:
            if error.status in {400, 404}:
                return None
            raise pull_fault(error.message) from error
        digests = found.get("RepoDigests") or []
        source = self._sources.read().get(image, image)
        return Image(id=found["Id"], digest=digest_of(source, digests) or digest_of(image, digests))

    async def _pull_or_cached(self, image: str, access: Access | None) -> Image:
        try:
            await self._fetch_once(image, access)
        except (RuntimeFault, UnreachableError):
            found = await self.cached(image)
            if found is None:
                raise
            return found
        return await self.pull(image, PullBehavior.PREFER_CACHED, access)

    async def _fetch_once(self, image: str, access: Access | None) -> None:
        """Pull, or share in the pull that is under way. If whoever made that one was cancelled, make one.

        Only pulls in the same name are shared: what one may pull another may not.
        """
        key = (image, "" if access is None else access.owner)
        while (flight := self._flights.get(key)) is not None:
            await flight.landed.wait()
            if flight.fault is not None:
                raise RuntimeFault(flight.fault.name, flight.fault.message)
            if flight.arrived:
                return
        flight = self._flights[key] = _Flight()
        try:
            await self._fetch(image, access)
            flight.arrived = True
        except RuntimeFault as fault:
            flight.fault = fault
            raise
        finally:
            del self._flights[key]
            flight.landed.set()

    async def _fetch(self, image: str, access: Access | None) -> None:
        login = await access.login() if access is not None else None
        source = image if login is None or login.source is None else login.source
        repository, tag = split_reference(source)
        try:
            await self._engine.progress(
                "images/create", params={"fromImage": repository, "tag": tag}, registry_auth=_registry_auth(login)
            )
            if source != image:
                await self._rename(repository, tag, image)
        except EngineError as error:
            # Who reads it knows the image by its own name.
            raise pull_fault(error.message.replace(repository, split_reference(image)[0])) from error
        self._remember(image)

    async def _rename(self, repository: str, tag: str, image: str) -> None:
        """Let the engine know what was pulled by the name of the task definition."""
        source = f"{repository}@{tag}" if "@" in image else f"{repository}:{tag}"
        self._sources.write({**self._sources.read(), image: source})
        if "@" not in image:
            params = {"repo": split_reference(image)[0], "tag": tag}
            await self._engine.call("POST", f"images/{source}/tag", params=params)

    def _remembered(self) -> set[str]:
        try:
            return set(json.loads(self._memory_file.read_text()))
        except (FileNotFoundError, ValueError):  # nothing pulled yet, or torn by a crash: pull again, no harm done
            return set()

    def _remember(self, image: str) -> None:
        known = self._remembered()
        if image not in known:
            _write(self._memory_file, sorted(known | {image}))


def _write(path: Path, known: object) -> None:
    """Write a file in one step: whoever reads it, now or after a crash, finds the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(known))
    fresh.replace(path)
