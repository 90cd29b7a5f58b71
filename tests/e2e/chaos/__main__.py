"""A campaign of any length: what `bench/chaos` runs."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.chaos.campaign import a_campaign, summary

_BEGAN = time.monotonic()


def main() -> int:
    """Fight; 0 when every rule held."""
    options = argparse.ArgumentParser(prog="bench/chaos", description=__doc__)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    options.add_argument("--sandbox", choices=("namespace", "pause"), default="namespace")
    chosen = options.parse_args()
    home = Path(tempfile.mkdtemp(prefix="wherry-chaos-"))
    _say(f"seed {chosen.seed}, sandbox {chosen.sandbox}, logs in {home}")
    with a_campaign(home, seed=chosen.seed, sandbox=chosen.sandbox, say=_say) as campaign:
        campaign.fight(chosen.minutes * 60)
        campaign.end()
    _say(summary(campaign.ledger, campaign.watch))
    for broken in campaign.ledger.broken:
        _say(f"BROKEN: {broken}")
    _say("a promise was broken" if campaign.ledger.broken else "every promise was kept")
    return 1 if campaign.ledger.broken else 0


def _say(sentence: str) -> None:
    print(f"{time.monotonic() - _BEGAN:7.1f} s  {sentence}", flush=True)  # noqa: T201  a command


if __name__ == "__main__":
    sys.exit(main())
