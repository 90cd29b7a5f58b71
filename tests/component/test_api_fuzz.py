"""Every operation against requests that nobody should send: an answer every time, and nothing written by a refusal."""

from __future__ import annotations

import os
import secrets

import pytest
from tests.component.storming import CHANGE_OF_WORLD, storm_at

INPUTS = int(os.environ.get("WHERRY_FUZZ_INPUTS", "10000"))


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.postgres
async def test_postgres_takes_no_more_of_it_than_sqlite(postgres_url):
    report = await storm_at(5, min(INPUTS, CHANGE_OF_WORLD), database=postgres_url)
    assert report.accepted > CHANGE_OF_WORLD // 50


@pytest.mark.anyio
@pytest.mark.parametrize("seed", [3, secrets.randbelow(2**32)], ids=["fixed", "random"])
async def test_every_input_gets_an_answer_and_a_refusal_writes_nothing(seed, tell):
    """A failure names the seed; `python -m tests.component.storming --seed S` repeats it."""
    report = await storm_at(seed, INPUTS // 2)
    tell(f"seed {seed}: {report.accepted} inputs accepted, {report.refused} refused")
    assert report.accepted > INPUTS // 50, "hardly anything got past the first check"
    assert report.refused > INPUTS // 50
