"""Everything breaks at random moments, and every promise is kept. `bench/chaos` does the same for longer."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from tests.e2e.chaos.campaign import a_campaign, summary

pytestmark = pytest.mark.docker

SECONDS = 45.0


@pytest.mark.parametrize(
    ("seed", "sandbox"),
    [(4, "namespace"), (secrets.randbelow(2**32), "pause")],
    ids=["fixed-seed-namespace", "random-seed-pause"],
)
def test_nothing_is_lost_doubled_or_left_whatever_breaks(tmp_path: Path, seed: int, sandbox: str) -> None:
    with a_campaign(tmp_path, seed=seed, sandbox=sandbox, say=print) as campaign:
        campaign.fight(SECONDS)
        campaign.end()
        told = summary(campaign.ledger, campaign.watch)
        print(told)  # noqa: T201  how much was done is part of the result
        broken = "\n".join(campaign.ledger.broken)
        assert not broken, f"seed {seed}, sandbox {sandbox}\n{broken}\n{told}"
