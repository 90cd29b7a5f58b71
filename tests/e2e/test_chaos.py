"""Everything breaks at random moments, and every promise is kept. `bench/chaos` does the same for longer."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.chaos.campaign import a_campaign, summary

pytestmark = pytest.mark.docker

SECONDS = float(os.environ.get("WHERRY_CHAOS_SECONDS", "120"))


@pytest.mark.parametrize(
    ("seed", "sandbox"),
    [(4, "namespace"), (secrets.randbelow(2**32), "pause")],
    ids=["fixed-seed-namespace", "random-seed-pause"],
)
def test_nothing_is_lost_doubled_or_left_whatever_breaks(
    tmp_path: Path, seed: int, sandbox: str, tell: Callable[[str], None]
) -> None:
    with a_campaign(tmp_path, seed=seed, sandbox=sandbox, say=print) as campaign:
        campaign.fight(SECONDS)
        campaign.end()
        tell(f"seed {seed}\n{summary(campaign.ledger, campaign.watch)}")
        broken = "\n".join(campaign.ledger.broken)
        assert not broken, f"seed {seed}, sandbox {sandbox}\n{broken}"
