"""What the end-to-end tests share: their images, and one `wherry up` a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import pictures
from tests.e2e.lab import Cluster, Wherry, a_wherry


@pytest.fixture(scope="session")
def images() -> None:
    pictures.build()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wherry]:
    """Run one `wherry up` for all tests of the module."""
    with a_wherry(tmp_path_factory.mktemp("wherry")) as wherry:
        wherry.up()
        yield wherry


@pytest.fixture(scope="module")
def cluster(shared: Wherry) -> Cluster:
    return Cluster(shared)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Wherry]:
    """Have a Wherry of one's own, not started yet."""
    with a_wherry(tmp_path) as wherry:
        yield wherry
