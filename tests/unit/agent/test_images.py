"""Image references, pull behaviours and the wording of failed pulls."""

import base64
import json
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.agent.link.base import UnreachableError
from wherry.agent.runtime.base import Access, Login, PullBehavior, RuntimeFault
from wherry.agent.runtime.docker.engine import EngineError
from wherry.agent.runtime.docker.images import Images, digest_of, pull_fault, split_reference

SHA = "sha256:" + "a" * 64
PREFIX = "The task can’t pull the image. "  # noqa: RUF001  AWS's own apostrophe


class ScriptedEngine:
    """An engine with images, a registry with others, and a count of the pulls."""

    def __init__(self, *, local=(), remote=()):
        self.local, self.remote, self.pulls, self.logins = set(local), set(remote), [], []
        self.gate = anyio.Event()
        self.gate.set()

    async def call(self, method, path, *, params=None):
        if method == "POST":
            assert path.removeprefix("images/").removesuffix("/tag") in self.local
            self.local.add(f"{params['repo']}:{params['tag']}")
            return None
        name = path.removeprefix("images/").removesuffix("/json")
        if name not in self.local:
            raise EngineError(404, f"No such image: {name}")
        pulled = {split_reference(name)[0] for name in self.pulls}
        return {"Id": "sha256:1", "RepoDigests": [f"{repository}@{SHA}" for repository in pulled]}

    async def progress(self, path, *, params, registry_auth=None):
        assert path == "images/create"
        separator = "@" if params["tag"].startswith("sha256:") else ":"
        name = f"{params['fromImage']}{separator}{params['tag']}"
        self.logins.append(registry_auth and json.loads(base64.urlsafe_b64decode(registry_auth)))
        self.pulls.append(name)
        await self.gate.wait()
        if name not in self.remote:
            raise EngineError(0, f"manifest for {name} not found: manifest unknown")
        self.local.add(name)


@pytest.fixture
def anyio_backend():
    return "trio"


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("nginx", ("nginx", "latest")),
        ("nginx:1.27", ("nginx", "1.27")),
        ("localhost:5000/web", ("localhost:5000/web", "latest")),
        ("localhost:5000/web:v2", ("localhost:5000/web", "v2")),
        (f"web@{SHA}", ("web", SHA)),
        (f"host:1/a/web:v2@{SHA}", ("host:1/a/web", SHA)),
    ],
)
def test_a_reference_is_a_repository_and_a_tag_or_digest(image, parts):
    assert split_reference(image) == parts


@given(
    repository=st.from_regex(r"([a-z]{1,5}:[0-9]{1,4}/)?[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True),
    tag=st.from_regex(r"\w{1,9}", fullmatch=True),
)
def test_splitting_undoes_joining(repository, tag):
    assert split_reference(f"{repository}:{tag}") == (repository, tag)


def test_the_digest_is_that_of_the_repository_that_was_asked_for():
    digests = [f"other@{SHA[:-1]}b", f"nginx@{SHA}"]
    assert digest_of("nginx:1", digests) == SHA
    assert digest_of("docker.io/library/nginx", digests) == SHA
    assert digest_of("registry.test/nginx", digests) is None
    assert digest_of("nginx", []) is None


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("manifest for a:b not found: manifest unknown", "Check whether the image exists. "),
        (
            "pull access denied for a, repository does not exist or may require 'docker login'",
            "Check whether the image exists. ",
        ),
        (
            'Head "https://r/v2/a": no basic auth credentials',
            "Check that the role has the permissions to pull images from the registry. ",
        ),
        (
            "denied: User: x is not authorized to perform: ecr:BatchGetImage",
            "Check that the role has the permissions to pull images from the registry. ",
        ),
        (
            'Get "http://localhost:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
            "Check your network configuration. ",
        ),
        ("dial tcp: lookup r.test on 10.0.0.2:53: no such host", "Check your network configuration. "),
        ("net/http: request canceled while waiting for connection", "Check your network configuration. "),
    ],
)
def test_a_failed_pull_comes_with_advice(said, advice):
    fault = pull_fault(said)
    assert str(fault) == f"CannotPullContainerError: {PREFIX}{advice}Error response from daemon: {said}"


def test_an_unknown_failure_is_told_as_it_is():
    assert str(pull_fault("disk full")) == "CannotPullContainerError: Error response from daemon: disk full"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("behavior", "local", "remote", "pulls"),
    [
        (PullBehavior.ALWAYS, True, True, 2),
        (PullBehavior.DEFAULT, True, True, 2),
        (PullBehavior.DEFAULT, True, False, 2),
        (PullBehavior.ONCE, True, True, 1),
        (PullBehavior.PREFER_CACHED, True, True, 0),
        (PullBehavior.PREFER_CACHED, False, True, 1),
    ],
)
async def test_a_behaviour_decides_how_often_two_tasks_pull(tmp_path, behavior, local, remote, pulls):
    engine = ScriptedEngine(local=["web:1"] * local, remote=["web:1"] * remote)
    for _ in range(2):
        # A new agent each time: what was pulled is remembered on disk.
        assert (await Images(engine, tmp_path / "pulled.json").pull("web:1", behavior)).id == "sha256:1"
    assert len(engine.pulls) == pulls


@pytest.mark.anyio
@pytest.mark.parametrize("behavior", [PullBehavior.ALWAYS, PullBehavior.ONCE])
async def test_a_cached_image_does_not_excuse_a_failed_pull(tmp_path, behavior):
    images = Images(ScriptedEngine(local=["web:1"]), tmp_path / "pulled.json")
    with pytest.raises(RuntimeFault, match="Check whether the image exists"):
        await images.pull("web:1", behavior)


@pytest.mark.anyio
@pytest.mark.parametrize("known", [True, False])
async def test_those_who_want_the_same_image_share_one_pull(tmp_path, known):
    engine = ScriptedEngine(remote=["web:1"] * known)
    engine.gate = anyio.Event()
    images, outcomes = Images(engine, tmp_path / "pulled.json"), []

    async def pull():
        try:
            outcomes.append((await images.pull("web:1", PullBehavior.ALWAYS)).id)
        except RuntimeFault as fault:
            outcomes.append(fault.name)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(pull)
        await anyio.wait_all_tasks_blocked()
        engine.gate.set()
    assert engine.pulls == ["web:1"]
    assert outcomes == (["sha256:1"] if known else ["CannotPullContainerError"]) * 5


@pytest.mark.anyio
async def test_when_the_one_who_pulls_is_cancelled_another_goes_on(tmp_path):
    engine = ScriptedEngine(remote=["web:1"])
    engine.gate = anyio.Event()
    images, done = Images(engine, tmp_path / "pulled.json"), []

    async def first(scope):
        with scope:
            await images.pull("web:1", PullBehavior.ALWAYS)

    async def second():
        done.append(await images.pull("web:1", PullBehavior.ALWAYS))

    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()
        group.start_soon(first, scope)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        engine.gate.set()
    assert len(done) == 1
    assert len(engine.pulls) == 2


ECR, SOURCE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/web", "127.0.0.1:4566/team/web"


def an_access(source=None, *, owner="role", fault=None):
    async def login():
        if fault is not None:
            raise fault
        return Login(username="AWS", password="token", source=source)

    return Access(owner=owner, login=login)


@pytest.mark.anyio
async def test_what_is_pulled_from_elsewhere_is_known_by_its_own_name_and_has_its_digest(tmp_path):
    engine = ScriptedEngine(remote=[f"{SOURCE}:1"])
    images = Images(engine, tmp_path / "pulled.json")
    found = await images.pull(f"{ECR}:1", PullBehavior.DEFAULT, an_access(f"{SOURCE}:1"))
    assert found.digest == SHA
    assert engine.pulls == [f"{SOURCE}:1"]
    assert engine.logins == [{"username": "AWS", "password": "token"}]
    assert f"{ECR}:1" in engine.local
    assert images.local_name(f"{ECR}:1") == f"{ECR}:1"


@pytest.mark.anyio
@pytest.mark.parametrize("tag", ["", ":1"])
async def test_one_by_digest_is_run_by_the_name_that_it_was_pulled_by(tmp_path, tag):
    engine = ScriptedEngine(remote=[f"{SOURCE}@{SHA}"])
    images = Images(engine, tmp_path / "pulled.json")
    image = f"{ECR}{tag}@{SHA}"
    found = await images.pull(image, PullBehavior.DEFAULT, an_access(f"{SOURCE}{tag}@{SHA}"))
    assert found.digest == SHA
    # A new agent: it is remembered on disk.
    assert Images(engine, tmp_path / "pulled.json").local_name(image) == f"{SOURCE}@{SHA}"


@pytest.mark.anyio
async def test_a_failed_pull_speaks_of_the_image_by_its_own_name(tmp_path):
    images = Images(ScriptedEngine(), tmp_path / "pulled.json")
    with pytest.raises(RuntimeFault, match=f"manifest for {ECR}:1 not found"):
        await images.pull(f"{ECR}:1", PullBehavior.DEFAULT, an_access(f"{SOURCE}:1"))


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [RuntimeFault("CannotPullECRContainerError", "denied"), UnreachableError("away")])
async def test_without_a_login_a_cached_image_is_used_where_the_behaviour_says_so(tmp_path, fault):
    images = Images(ScriptedEngine(local=["web:1"]), tmp_path / "pulled.json")
    assert (await images.pull("web:1", PullBehavior.DEFAULT, an_access(fault=fault))).id == "sha256:1"
    assert (await images.pull("web:1", PullBehavior.PREFER_CACHED, an_access(fault=fault))).id == "sha256:1"
    with pytest.raises(type(fault)):
        await images.pull("web:1", PullBehavior.ALWAYS, an_access(fault=fault))


@pytest.mark.anyio
async def test_a_pull_is_shared_only_by_those_who_may_pull_by_the_same_right(tmp_path):
    engine = ScriptedEngine(remote=["web:1"])
    engine.gate = anyio.Event()
    images = Images(engine, tmp_path / "pulled.json")
    async with anyio.create_task_group() as group:
        for owner in ("one", "one", "other"):
            group.start_soon(images.pull, "web:1", PullBehavior.ALWAYS, an_access(owner=owner))
        await anyio.wait_all_tasks_blocked()
        engine.gate.set()
    assert engine.pulls == ["web:1", "web:1"]


def test_no_text_shows_a_login():
    shown = Login(username="AWS", password="token", source="here")
    assert "token" not in f"{shown!r} {shown} {list(shown.__rich_repr__())}"


def test_a_crash_while_it_is_remembered_what_was_pulled_leaves_what_was_remembered_before(tmp_path, monkeypatch):
    memory = tmp_path / "images.json"
    engine = ScriptedEngine(remote={"a:1", "b:1"})
    anyio.run(Images(engine, memory).pull, "a:1", PullBehavior.ONCE)

    def torn(path: Path, text: str) -> None:
        with path.open("w") as file:
            file.write(text[: len(text) // 2])
        raise KeyboardInterrupt

    images = Images(engine, memory)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", torn)
        with pytest.raises(KeyboardInterrupt):
            images._remember("b:1")
    assert json.loads(memory.read_text()) == ["a:1"]
