"""Registering the OCI runtime "wherry" with the engine of this host, so that tasks need no pause containers.

The engine's other settings are kept as they are, and it is asked to reload, not to restart: no container notices.
Run as `python -m wherry.agent.runtime.docker.registration` by the scripts, and by `wherry doctor --fix`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from importlib import resources
from pathlib import Path

RUNTIME = "wherry"
WRAPPER = Path("/usr/local/lib/wherry/oci-runtime")
DAEMON_JSON = Path("/etc/docker/daemon.json")
PID_FILE = Path("/var/run/docker.pid")


class RegistrationError(Exception):
    """The engine could not be told of the runtime; the message says what to do."""


def register_runtime(*, daemon_json: Path = DAEMON_JSON, wrapper: Path = WRAPPER, pid_file: Path = PID_FILE) -> bool:
    """Install the wrapper and register it; true if anything had to be changed. Raises `RegistrationError`."""
    text = _wrapper_text()
    if text is None:
        raise RegistrationError("runc is not installed on this host; install the engine's runc package")
    installed = _write_if_changed(wrapper, text, mode=0o755)
    current = daemon_json.read_text() if daemon_json.exists() else ""
    merged = with_runtime(current, path=str(wrapper), source=str(daemon_json))
    if merged is None:
        return installed
    _write_if_changed(daemon_json, merged, mode=0o644)
    _reload(pid_file)
    return True


def refresh_wrapper(*, wrapper: Path = WRAPPER) -> None:
    """Replace an installed wrapper of another version: it has to understand what this agent leaves for it."""
    text = _wrapper_text()
    if text is not None and wrapper.exists():
        _write_if_changed(wrapper, text, mode=0o755)


def with_runtime(current: str, *, path: str, source: str) -> str | None:
    """Add the runtime to the text of a daemon.json; None if it is there already. Raises `RegistrationError`."""
    try:
        settings = json.loads(current) if current.strip() else {}
    except ValueError as error:
        raise RegistrationError(f"{source} is not JSON ({error}); mend it first") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("runtimes", {}), dict):
        raise RegistrationError(f'{source} must be an object, and "runtimes" in it as well; mend it first')
    runtimes = settings.get("runtimes", {})
    if runtimes.get(RUNTIME) == {"path": path}:
        return None
    return json.dumps({**settings, "runtimes": {**runtimes, RUNTIME: {"path": path}}}, indent=4) + "\n"


def _wrapper_text() -> str | None:
    runc = shutil.which("runc", path=os.defpath + ":/usr/sbin:/sbin:/usr/local/sbin:/usr/local/bin")
    text = resources.files("wherry.agent.runtime.docker").joinpath("oci-runtime").read_text()
    return None if runc is None else text.replace("@RUNC@", runc)


def _write_if_changed(path: Path, text: str, *, mode: int) -> bool:
    """Replace the file in one step, so that no reader ever sees half of it."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.wherry")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.replace(path)
    return True


def _reload(pid_file: Path) -> None:
    try:
        pid = int(pid_file.read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() != "dockerd":
            raise ProcessLookupError(pid)
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError) as error:
        raise RegistrationError(
            f"no dockerd of this host is named by {pid_file}; reload the engine yourself, e.g. systemctl reload docker"
        ) from error


def main() -> int:
    """Register; exit 0 also where that is impossible, since tasks then run with pause containers."""
    try:
        changed = register_runtime()
    except (RegistrationError, PermissionError) as error:
        print(f"Tasks will use pause containers: {error}", file=sys.stderr)  # noqa: T201  a program's output
        return 0
    if changed:
        print(f'Registered the OCI runtime "{RUNTIME}" with the Docker Engine.')  # noqa: T201  the same
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
