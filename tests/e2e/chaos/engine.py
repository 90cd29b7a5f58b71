"""A Docker Engine of one's own, which may be killed: `--live-restore`, beside that of the machine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from wherry.agent.runtime.docker.registration import RUNTIME, WRAPPER

BRIDGE = "chaos0"
"""A bridge of its own: an engine that is told to have none takes docker0 away from the machine's."""


class OwnEngine:
    """A dockerd in its own directories. Containers outlive it, and its next start finds them again."""

    def __init__(self) -> None:
        # Short: the path of a unix socket may have 107 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="chaos-", dir="/var/tmp"))
        self.url = f"unix://{self.home}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the engine and wait until it answers."""
        settings = {"runtimes": {RUNTIME: {"path": str(WRAPPER)}}, "live-restore": True}
        (self.home / "daemon.json").write_text(json.dumps(settings))
        (self.home / "docker.pid").unlink(missing_ok=True)
        if self._containerd is None:
            _make_bridge()
            self._containerd = self._run("containerd", f"--config={self._containerd_config()}")
        network = (f"--bridge={BRIDGE}", "--iptables=false", "--ip6tables=false")
        places = ("--config-file=daemon.json", "--data-root=data", "--exec-root=exec", "--pidfile=docker.pid")
        own = [place.replace("=", f"={self.home}/") for place in (*places, "--containerd=containerd.sock")]
        self._process = self._run("dockerd", f"--host={self.url}", *network, *own)
        deadline = time.monotonic() + 60
        while not self.answers():
            assert self._process.poll() is None, (self.home / "dockerd.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the engine does not answer"
            time.sleep(0.1)

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def _containerd_config(self) -> Path:
        config = self.home / "containerd.toml"
        config.write_text(
            f'version = 2\nroot = "{self.home}/containerd"\nstate = "{self.home}/run"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{self.home}/containerd.sock"\n'
        )
        return config

    def answers(self) -> bool:
        return self.docker("version", check=False).returncode == 0

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `docker` against this engine."""
        command = ["docker", "--host", self.url, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=check, timeout=60)

    def kill(self) -> None:
        """Kill dockerd, as a crash does; containerd is a service of its own, as on every host with systemd."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def remove(self) -> None:
        """Leave nothing: no container, no process, no directory."""
        assert self._process is not None
        if self._process.poll() is not None:
            self.start()
        left = self.docker("ps", "-aq", check=False).stdout.split()
        if left:
            self.docker("rm", "--force", *left, check=False)
        for process in (self._process, self._containerd):
            if process is not None:
                process.terminate()
                process.wait(timeout=30)
        # An engine that was killed in the middle of a start has forgotten the shim, which waits for ever.
        subprocess.run(["pkill", "--signal", "KILL", "--full", f"containerd-shim.*{self.home}/"], check=False)
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((mount for mount in mounts if mount.startswith(str(self.home))), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self.home, ignore_errors=True)


def _make_bridge() -> None:
    subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)
    subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
    subprocess.run(["ip", "address", "add", "169.254.77.1/24", "dev", BRIDGE], check=True)


def _bridges() -> set[str]:
    return {path.parent.name for path in Path("/sys/class/net").glob("*/bridge")} - {BRIDGE}


@contextlib.contextmanager
def own_engine() -> Iterator[OwnEngine]:
    """Run an engine that everything in this process uses, by DOCKER_HOST."""
    engine = OwnEngine()
    before = os.environ.get("DOCKER_HOST")
    bridges = _bridges()
    os.environ["DOCKER_HOST"] = engine.url
    try:
        engine.start()
        yield engine
    finally:
        if before is None:
            del os.environ["DOCKER_HOST"]
        else:
            os.environ["DOCKER_HOST"] = before
        engine.remove()
        assert _bridges() >= bridges, "the machine's own engine has lost a bridge"
