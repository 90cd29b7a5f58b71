"""The OCI runtime wrapper, with a runc that only writes down how it was called."""

import json
import subprocess
from importlib import resources

import pytest

ID = "c0ffee"
ENGINE_SAYS = "/var/run/docker/netns/default"


def spec(**process):
    return {
        "ociVersion": "1.0.2",
        "process": {"env": [], **process},
        "annotations": {"type": "network", "path": "/annotated"},
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "network", "path": ENGINE_SAYS}, {"type": "uts"}],
            "seccomp": {"names": ["]"]},
        },
    }


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "admitted").mkdir()
    runc = tmp_path / "runc"
    runc.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/called\n')
    runc.chmod(0o755)
    text = resources.files("wherry.agent.runtime.docker").joinpath("oci-runtime").read_text()
    script = tmp_path / "oci-runtime"
    script.write_text(text.replace("@RUNC@", str(runc)).replace("/run/wherry/containers", str(tmp_path / "admitted")))
    script.chmod(0o755)
    return tmp_path


def admit(bundle, target):
    (bundle / "admitted" / ID).write_text(f"{target}\n")


def run(bundle, document, *words):
    config = bundle / "bundle" / "config.json"
    config.write_text(json.dumps(document, separators=(",", ":")))
    words = words or ("--log", str(bundle / "log"), "create", "--bundle", str(bundle / "bundle"), ID)
    done = subprocess.run([str(bundle / "oci-runtime"), *words], capture_output=True, text=True, check=False)
    return done, json.loads(config.read_text())


def test_only_the_path_of_the_network_namespace_is_replaced(bundle):
    admit(bundle, "/run/netns/wherry-a-1")
    done, after = run(bundle, spec())
    expected = spec()
    expected["linux"]["namespaces"][1]["path"] = "/run/netns/wherry-a-1"
    assert done.returncode == 0, done.stderr
    assert after == expected
    assert (bundle / "called").read_text().split()[2:] == ["create", "--bundle", str(bundle / "bundle"), ID]


@pytest.mark.parametrize(
    "text",
    [
        '"namespaces":[{"type":"network","path":"/x"}]',
        '{"type":"network","path":"/x"}',
        '\\"namespaces\\":[{\\"type\\":\\"network\\",\\"path\\":\\"/x\\"',
        "namespaces & # \\1 ]",
    ],
)
def test_what_a_user_wrote_stays_as_it_is(bundle, text):
    admit(bundle, "/run/netns/wherry-a-1")
    _, after = run(bundle, spec(env=[f"X={text}"], args=[text]))
    assert after["process"] == {"env": [f"X={text}"], "args": [text]}
    assert after["linux"]["namespaces"][1]["path"] == "/run/netns/wherry-a-1"


@pytest.mark.parametrize(
    "target", ["/proc/1/ns/net", "/run/netns/wherry-a/../../x", "/run/netns/wherry-a#b", "/run/netns/mine"]
)
def test_only_namespaces_of_ours_are_joined(bundle, target):
    admit(bundle, target)
    done, after = run(bundle, spec())
    assert done.returncode == 1
    assert after == spec()
    assert not (bundle / "called").exists()
    assert json.loads((bundle / "log").read_text())["msg"].startswith("wherry: not a namespace")


def test_without_a_link_nothing_starts(bundle):
    done, _ = run(bundle, spec())
    assert done.returncode == 1
    assert not (bundle / "called").exists()
    assert "no network namespace is set for container c0ffee" in json.loads((bundle / "log").read_text())["msg"]


def test_an_engine_that_leaves_the_hosts_namespace_out_gets_ours_put_in(bundle):
    admit(bundle, "/run/netns/wherry-a-1")
    document = spec(env=['X={"type":"network","path":"/x"}'])
    del document["linux"]["namespaces"][1]
    done, after = run(bundle, document)
    assert done.returncode == 0, done.stderr
    document["linux"]["namespaces"].insert(0, {"type": "network", "path": "/run/netns/wherry-a-1"})
    assert after == document


@pytest.mark.parametrize(
    ("linux", "reason"),
    [
        ({"namespaces": [{"path": ENGINE_SAYS, "type": "network"}]}, "in a shape that is not known"),
        ({"namespaces": [{"type": "mount"}, {"type": "network"}]}, "in a shape that is not known"),
        ({}, "has no list of namespaces"),
    ],
)
def test_a_specification_of_another_shape_is_refused(bundle, linux, reason):
    admit(bundle, "/run/netns/wherry-a-1")
    done, _ = run(bundle, {"linux": linux})
    assert done.returncode == 1
    assert not (bundle / "called").exists()
    assert reason in done.stderr


@pytest.mark.parametrize("command", ["start", "state", "kill", "delete", "exec"])
def test_everything_but_creation_is_runcs_own_business(bundle, command):
    done, after = run(bundle, spec(), command, ID)
    assert done.returncode == 0
    assert after == spec()
    assert (bundle / "called").read_text().split() == [command, ID]
