"""scripts/demo shows what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.lab import clean_environment

pytestmark = pytest.mark.docker

DEMO = Path(__file__).parents[2] / "scripts" / "lib" / "demo.py"


def test_the_demo_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, DEMO, "--once"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything that was shown was also checked." in done.stdout
