"""What the log gives away."""

from __future__ import annotations

import pytest
import structlog

from wherry.cli.run import configure_logging


def with_a_secret(secret: str) -> None:
    raise ValueError(len(secret))


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_in_the_log_shows_no_variables(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WHERRY_LOG_FORMAT", form)
    configure_logging()
    try:
        with_a_secret("hunter" + "2")
    except ValueError:
        structlog.get_logger().exception("step_crashed")
    finally:
        structlog.reset_defaults()
    printed = capsys.readouterr().err
    assert "ValueError: 7" in printed
    assert "hunter2" not in printed
