"""What manifests say, which images are of the own registry, and which tags may move."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.registries import CONFIG, a_manifest, an_index, digest_of

from wherry.model.ecr import names
from wherry.model.ecr.manifest import DOCKER, DOCKER_LIST, OCI, OCI_INDEX, ManifestError, read
from wherry.model.ecr.names import RegistryNames
from wherry.model.ecr.repository import Repository

OURS = RegistryNames(account_id="000000000000", region="us-east-1", hosts=frozenset({"localhost:4566"}))


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=5))
def test_an_image_is_as_large_as_its_parts(layers):
    found = read(a_manifest(*layers), DOCKER)
    assert found.size == len(CONFIG) + sum(len(layer) for layer in layers)
    assert (found.digest, found.children) == (digest_of(a_manifest(*layers)), ())


def test_a_list_names_its_images():
    children = (a_manifest(b"1"), a_manifest(b"2"))
    found = read(an_index(*children), None)
    assert (found.media_type, found.size) == (OCI_INDEX, 0)
    assert found.children == tuple(digest_of(child) for child in children)


@pytest.mark.parametrize(
    ("document", "sent_as"),
    [
        ({"schemaVersion": 1}, None),
        ({"schemaVersion": 2}, "application/vnd.docker.distribution.manifest.v1+json"),
        ({"schemaVersion": 2, "mediaType": DOCKER_LIST}, DOCKER),
        ({}, DOCKER),
        ([], OCI),
    ],
)
def test_what_is_no_manifest_is_refused(document, sent_as):
    with pytest.raises(ManifestError):
        read(json.dumps(document).encode(), sent_as)


@given(st.binary(max_size=64))
def test_no_bytes_are_more_than_refused(text):
    with pytest.raises(ManifestError):
        read(text, DOCKER)


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        ("000000000000.dkr.ecr.us-east-1.amazonaws.com/web:1", True),
        ("000000000000.dkr.ecr.us-east-1.wherry.internal:4566/team/web@sha256:" + "0" * 64, True),
        ("000000000000.dkr-ecr.us-east-1.on.aws/web", True),
        ("localhost:4566/web", True),
        ("localhost:5000/web", False),
        ("111111111111.dkr.ecr.us-east-1.amazonaws.com/web:1", False),
        ("000000000000.dkr.ecr.eu-west-1.amazonaws.com/web:1", False),
        ("xxxxx.dkr.ecr.us-east-1.amazonaws.com/web:1", False),
        ("000000000000.dkr.ecr.us-east-1.amazonaws.com", False),
        ("evil.test/000000000000.dkr.ecr.us-east-1.amazonaws.com/web", False),
        ("web:1", False),
    ],
)
def test_an_image_is_ours_by_account_region_and_host(image, ours):
    assert OURS.know(image) is ours


@given(
    words=st.lists(st.text("abz019", min_size=1, max_size=5), min_size=2, max_size=6),
    joint=st.sampled_from([".", "_", "__", "-", "---", "/"]),
)
def test_what_follows_the_host_is_the_repository(words, joint):
    name = joint.join(words)
    assert names.is_repository(name)
    assert names.within(f"localhost:4566/{name}") == name


@pytest.mark.parametrize("name", ["a", "A/b", "a//b", "../a", "a/..", "-a", "a" * 257, "a\n", ""])
def test_what_is_no_name_of_a_repository_is_told_apart(name):
    assert not names.is_repository(name)


@pytest.mark.parametrize(
    ("mutability", "exclusions", "moves"),
    [
        ("MUTABLE", (), {"1", "dev-1"}),
        ("IMMUTABLE", (), set()),
        ("IMMUTABLE_WITH_EXCLUSION", ("dev-*",), {"dev-1"}),
        ("MUTABLE_WITH_EXCLUSION", ("dev-*",), {"1"}),
    ],
)
def test_a_tag_moves_as_its_repository_says(mutability, exclusions, moves):
    repository = Repository(repository_name="web", created_at=0, image_tag_mutability=mutability, exclusions=exclusions)
    assert {tag for tag in ("1", "dev-1") if repository.lets_move(tag)} == moves
