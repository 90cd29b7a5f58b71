"""RegisterTaskDefinition's rules: one bad definition a rule, and what holds for every definition."""

from __future__ import annotations

import copy
from typing import Any

import botocore.session
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wherry.api.ecs.taskdef_view import view
from wherry.model.arn import Scope
from wherry.model.errors import ClientException, InvalidParameterException
from wherry.model.problem import Path, Source, written
from wherry.model.sizes import FARGATE_SIZES, cpu_units, memory_mib
from wherry.model.taskdef_draft import draft
from wherry.model.taskdef_rules import MAX_BYTES, check, problems

SCOPE = Scope(region="us-east-1", account_id="000000000000")
INPUT = botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape

FARGATE: dict[str, Any] = {
    "family": "web",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [{"name": "app", "image": "nginx"}],
}
BRIDGE: dict[str, Any] = {"family": "web", "containerDefinitions": [{"name": "app", "image": "nginx", "memory": 64}]}


def fargate(**changes: Any) -> dict[str, Any]:
    return FARGATE | changes


def fargate_container(**changes: Any) -> dict[str, Any]:
    return fargate(containerDefinitions=[{"name": "app", "image": "nginx"} | changes])


def bridge(**changes: Any) -> dict[str, Any]:
    return BRIDGE | changes


def bridge_container(**changes: Any) -> dict[str, Any]:
    return bridge(containerDefinitions=[{"name": "app", "image": "nginx", "memory": 64} | changes])


def pair(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return fargate(containerDefinitions=[{"name": "one", "image": "a"} | first, {"name": "two", "image": "b"} | second])


def waits(condition: str, target: str = "two") -> dict[str, Any]:
    return {"dependsOn": [{"containerName": target, "condition": condition}]}


CHECKED = {"healthCheck": {"command": ["CMD-SHELL", "true"]}}

TROUBLE = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."

# Texts that AWS is known to use, word for word.
AWS_SAYS: list[tuple[dict[str, Any], str, str]] = [
    (fargate_container(name=""), "containerDefinitions[0].name", "Container.name should not be null or empty."),
    (fargate_container(name="a b"), "containerDefinitions[0].name", "Container.name contains invalid characters."),
    (fargate_container(image=""), "containerDefinitions[0].image", "Container.image should not be null or empty."),
    (fargate_container(image="a b"), "containerDefinitions[0].image", "Container.image contains invalid characters."),
    (
        bridge_container(memory=None),
        "containerDefinitions[0]",
        "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.",
    ),
    (
        fargate(cpu="lots"),
        "cpu",
        f"Invalid 'cpu' setting for task. {TROUBLE}",
    ),
    (
        fargate(memory="lots"),
        "memory",
        f"Invalid 'memory' setting for task. {TROUBLE}",
    ),
    (fargate(memory="768"), "cpu", "No Fargate configuration exists for given values."),
    (fargate(cpu="300"), "cpu", "No Fargate configuration exists for given values."),
    (fargate(cpu=None), "", "Fargate requires that 'cpu' be defined at the task level."),
    (fargate(memory=None), "", "Fargate requires that 'memory' be defined at the task level."),
    (fargate(networkMode="bridge"), "networkMode", "Fargate only supports network mode 'awsvpc'."),
    (
        fargate(pidMode="host"),
        "pidMode",
        "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for pidMode is 'task'.",
    ),
    (fargate(ipcMode="task"), "ipcMode", "Tasks using the Fargate launch type do not support ipcMode."),
    (
        fargate_container(portMappings=[{"containerPort": 80, "hostPort": 81}]),
        "containerDefinitions[0].portMappings[0].hostPort",
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
    ),
    (
        fargate_container(hostname="web"),
        "containerDefinitions[0].hostname",
        "hostname is not supported on container when networkMode=awsvpc.",
    ),
    (
        fargate_container(links=["db"]),
        "containerDefinitions[0].links",
        "Links are not supported when networkMode=awsvpc.",
    ),
    (
        fargate_container(linuxParameters={"sharedMemorySize": 64}),
        "containerDefinitions[0].linuxParameters.sharedMemorySize",
        "Fargate compatible task definitions do not support sharedMemorySize",
    ),
    (
        fargate_container(linuxParameters={"maxSwap": 0}),
        "containerDefinitions[0].linuxParameters.maxSwap",
        "Fargate compatible task definitions do not support maxSwap",
    ),
    (
        fargate_container(linuxParameters={"devices": [{"hostPath": "/dev/null"}]}),
        "containerDefinitions[0].linuxParameters.devices",
        "Fargate compatible task definitions do not support devices",
    ),
    (
        fargate_container(dockerSecurityOptions=["no-new-privileges"]),
        "containerDefinitions[0].dockerSecurityOptions",
        "Fargate compatible task definitions do not support dockerSecurityOptions",
    ),
    (
        fargate_container(privileged=True),
        "containerDefinitions[0].privileged",
        "Fargate compatible task definitions do not support privileged",
    ),
    (
        pair({"name": "same"}, {"name": "same"}),
        "containerDefinitions[1].name",
        "Container names must be unique within a Task Definition.",
    ),
    (
        fargate(containerDefinitions=[{"name": f"c{n}", "image": "a"} for n in range(11)]),
        "containerDefinitions",
        "Too many containers.",
    ),
    (
        pair({"cpu": 200}, {"cpu": 57}),
        "containerDefinitions",
        "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
    ),
    (
        pair({"memoryReservation": 500}, {"memoryReservation": 13}),
        "containerDefinitions",
        "The sum of all container 'memoryReservation' values cannot be greater than the value of the task 'memory'.",
    ),
    (
        pair(waits("SUCCESS"), {}),
        "containerDefinitions[0].dependsOn[0]",
        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
    ),
    (fargate(tags=[]), "tags", "Tags can not be empty."),
    (
        fargate_container(image="a", command=["x" * MAX_BYTES]),
        "",
        f"Actual length: '65707'. Max allowed length is '{MAX_BYTES}' bytes.",
    ),
]

# Where AWS's text is not known, the place and the word that matters.
ALSO_WRONG: list[tuple[dict[str, Any], str, str]] = [
    (fargate(family=""), "family", "Family"),
    (fargate(family="a.b"), "family", "Family"),
    (fargate(family="x" * 256), "family", "Family"),
    (fargate(containerDefinitions=[]), "containerDefinitions", "empty"),
    (fargate_container(essential=False), "containerDefinitions", "essential"),
    (fargate_container(image="x" * 256), "containerDefinitions[0].image", "255"),
    (bridge(cpu="64"), "cpu", "cpu"),
    (bridge(cpu="196609"), "cpu", "cpu"),
    (bridge_container(memory=32, memoryReservation=33), "containerDefinitions[0].memoryReservation", "at least"),
    (pair({"memory": 500}, {"memory": 13}), "containerDefinitions", "sum of all container 'memory'"),
    (fargate_container(memory=513, memoryReservation=1 << 8), "containerDefinitions[0].memory", "greater"),
    (pair(waits("START"), waits("START", "one")), "containerDefinitions", "circular"),
    (pair(waits("START", "one"), {}), "containerDefinitions", "circular"),
    (pair(waits("START", "ghost"), {}), "containerDefinitions[0].dependsOn[0]", "ghost"),
    (pair(waits("COMPLETE"), {}), "containerDefinitions[0].dependsOn[0]", "COMPLETE"),
    (pair(waits("HEALTHY"), {}), "containerDefinitions[0].dependsOn[0]", "healthCheck"),
    (fargate_container(stopTimeout=121), "containerDefinitions[0].stopTimeout", "2 to 120"),
    (fargate_container(startTimeout=1), "containerDefinitions[0].startTimeout", "2 to 120"),
    (bridge(networkMode="awsvpc", requiresCompatibilities=["EXTERNAL"]), "networkMode", "External"),
    (
        fargate_container(linuxParameters={"tmpfs": [{"containerPath": "/a", "size": 1}]}),
        "containerDefinitions[0].linuxParameters.tmpfs",
        "tmpfs",
    ),
    (
        fargate_container(linuxParameters={"capabilities": {"add": ["SYS_PTRACE", "NET_ADMIN"]}}),
        "containerDefinitions[0].linuxParameters.capabilities.add[1]",
        "NET_ADMIN",
    ),
    (fargate_container(healthCheck={"command": ["true"]}), "containerDefinitions[0].healthCheck.command", "CMD"),
    (fargate_container(healthCheck={"command": ["CMD"]}), "containerDefinitions[0].healthCheck.command", "CMD"),
    (fargate_container(healthCheck={"command": []}), "containerDefinitions[0].healthCheck.command", "CMD"),
    (
        fargate_container(portMappings=[{"containerPort": 53}, {"containerPort": 53, "protocol": "udp"}]),
        "containerDefinitions[0].portMappings[1]",
        "multiple protocols",
    ),
    (
        pair({"portMappings": [{"containerPort": 80}]}, {"portMappings": [{"containerPort": 80}]}),
        "containerDefinitions[1].portMappings[0]",
        "80/tcp",
    ),
    (
        pair(
            {"portMappings": [{"containerPort": 80, "name": "web"}]},
            {"portMappings": [{"containerPort": 81, "name": "web"}]},
        ),
        "containerDefinitions[1].portMappings[0].name",
        "unique",
    ),
    (fargate_container(portMappings=[{"protocol": "tcp"}]), "containerDefinitions[0].portMappings[0]", "containerPort"),
    (
        fargate_container(portMappings=[{"containerPort": 80, "name": "Web"}]),
        "containerDefinitions[0].portMappings[0].name",
        "Web",
    ),
    (
        bridge(networkMode="none")
        | {
            "containerDefinitions": [
                {"name": "app", "image": "a", "memory": 64, "portMappings": [{"containerPort": 80}]}
            ]
        },
        "containerDefinitions[0].portMappings",
        "none",
    ),
    (
        bridge_container(ulimits=[{"name": "nofile", "softLimit": 2, "hardLimit": 1}]),
        "containerDefinitions[0].ulimits[0]",
        "nofile",
    ),
    (
        bridge_container(ulimits=[{"name": "memlock", "softLimit": -1, "hardLimit": 1}]),
        "containerDefinitions[0].ulimits[0]",
        "memlock",
    ),
    (
        bridge_container(ulimits=[{"name": "core", "softLimit": 1, "hardLimit": 1}] * 2),
        "containerDefinitions[0].ulimits[1]",
        "twice",
    ),
    (
        bridge_container(systemControls=[{"namespace": "vm.swappiness", "value": "1"}]),
        "containerDefinitions[0].systemControls[0]",
        "vm.swappiness",
    ),
    (
        bridge_container(dockerSecurityOptions=["seccomp:unconfined"]),
        "containerDefinitions[0].dockerSecurityOptions[0]",
        "seccomp",
    ),
    (
        bridge_container(linuxParameters={"tmpfs": [{"containerPath": "run", "size": 1}]}),
        "containerDefinitions[0].linuxParameters.tmpfs[0]",
        "absolute",
    ),
    (bridge_container(environment=[{"value": "1"}]), "containerDefinitions[0].environment[0]", "name"),
]

# AWS answers InvalidParameterException where a value is none that the member can have.
INVALID: list[tuple[dict[str, Any], str]] = [
    (fargate(networkMode="bridges"), "networkMode"),
    (fargate(requiresCompatibilities=["FARGATE", "LAMBDA"]), "requiresCompatibilities[1]"),
    (fargate(runtimePlatform={"cpuArchitecture": "RISCV"}), "runtimePlatform.cpuArchitecture"),
    (fargate(runtimePlatform={"operatingSystemFamily": "PLAN9"}), "runtimePlatform.operatingSystemFamily"),
    (fargate_container(versionConsistency="maybe"), "containerDefinitions[0].versionConsistency"),
    (fargate_container(cpu=-1), "containerDefinitions[0].cpu"),
    (fargate_container(memory=3), "containerDefinitions[0].memory"),
    (fargate_container(memoryReservation=3), "containerDefinitions[0].memoryReservation"),
    (bridge_container(stopTimeout=-1), "containerDefinitions[0].stopTimeout"),
    (
        fargate_container(portMappings=[{"containerPort": 80, "protocol": "sctp"}]),
        "containerDefinitions[0].portMappings[0].protocol",
    ),
    (
        fargate_container(portMappings=[{"containerPort": 80, "appProtocol": "ftp"}]),
        "containerDefinitions[0].portMappings[0].appProtocol",
    ),
    (
        fargate_container(portMappings=[{"containerPort": 65536}]),
        "containerDefinitions[0].portMappings[0].containerPort",
    ),
    (
        bridge_container(portMappings=[{"containerPort": 80, "hostPort": 65536}]),
        "containerDefinitions[0].portMappings[0].hostPort",
    ),
    (pair(waits("SOON"), {}), "containerDefinitions[0].dependsOn[0].condition"),
    (
        bridge_container(ulimits=[{"name": "files", "softLimit": 1, "hardLimit": 1}]),
        "containerDefinitions[0].ulimits[0].name",
    ),
    (bridge_container(linuxParameters={"swappiness": 101}), "containerDefinitions[0].linuxParameters.swappiness"),
    *(
        (
            fargate_container(healthCheck={"command": ["CMD", "true"], member: value}),
            f"containerDefinitions[0].healthCheck.{member}",
        )
        for member, value in [
            *(("interval", 4), ("interval", 301), ("timeout", 1), ("timeout", 61)),
            *(("retries", 0), ("retries", 11), ("startPeriod", -1), ("startPeriod", 301)),
        ]
    ),
]

GOOD: list[dict[str, Any]] = [
    FARGATE,
    BRIDGE,
    fargate(cpu=".25 vCPU", memory="0.5 GB"),
    fargate(runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}),
    fargate_container(linuxParameters={"initProcessEnabled": True, "capabilities": {"add": ["SYS_PTRACE"]}}),
    fargate_container(stopTimeout=120, startTimeout=2, privileged=False, dockerSecurityOptions=[]),
    fargate_container(memory=512, memoryReservation=512),
    fargate_container(image="000000000000.dkr.ecr.us-east-1.amazonaws.com/web@sha256:" + "0" * 64),
    pair(waits("SUCCESS"), {"essential": False}),
    pair(waits("HEALTHY"), CHECKED),
    pair({"portMappings": [{"containerPort": 80}]}, {"portMappings": [{"containerPort": 80, "protocol": "udp"}]}),
    bridge_container(ulimits=[{"name": "memlock", "softLimit": -1, "hardLimit": -1}]),
    fargate_container(ulimits=[{"name": "nofile", "softLimit": 65535, "hardLimit": 65535}]),
    bridge_container(portMappings=[{"containerPort": 80}, {"containerPort": 81, "hostPort": 0}]),
    bridge_container(hostname="web", privileged=True, linuxParameters={"maxSwap": 0, "swappiness": 0}),
    bridge(networkMode="host", requiresCompatibilities=["EC2", "EXTERNAL"]),
]


def found(params: dict[str, Any]) -> list[tuple[str, str]]:
    return [(written(problem.path), problem.message) for problem in problems(without_none(params))]


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_none(member) for name, member in value.items() if member is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("params", "place", "text"), AWS_SAYS)
def test_ecs_texts_are_used_word_for_word(params: dict[str, Any], place: str, text: str) -> None:
    assert (place, text) in found(params)


@pytest.mark.parametrize(("params", "place", "word"), ALSO_WRONG)
def test_what_is_wrong_is_said_where_it_stands(params: dict[str, Any], place: str, word: str) -> None:
    assert [(where, text) for where, text in found(params) if where == place and word in text]


@pytest.mark.parametrize(("params", "place"), INVALID)
def test_impossible_values_are_invalid_parameters(params: dict[str, Any], place: str) -> None:
    (problem,) = [problem for problem in problems(params) if problem.invalid]
    assert written(problem.path) == place
    assert isinstance(problem.error(), InvalidParameterException)


@pytest.mark.parametrize("params", GOOD)
def test_good_definitions_pass(params: dict[str, Any]) -> None:
    assert found(params) == []


def test_the_first_problem_is_raised_and_all_are_listed() -> None:
    params = fargate(family="a.b", networkMode="host", taskRoleArn="no role")
    texts = [text for _, text in found(params)]
    assert len(texts) == 3
    with pytest.raises(ClientException, match="Family contains invalid characters"):
        check(params)


def test_ecs_objections_come_before_what_wherry_does_not_honour_yet() -> None:
    sources = [problem.source for problem in problems(fargate(proxyConfiguration={"containerName": "app"}, cpu="300"))]
    assert sources == sorted(sources, key=[Source.ECS, Source.WHERRY].index)
    assert set(sources) == {Source.ECS, Source.WHERRY}


@pytest.mark.parametrize(
    ("params", "path"),
    [
        (fargate(requiresCompatibilities=["FARGATE", "MANAGED_INSTANCES"]), ("requiresCompatibilities", 1)),
        (
            fargate(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
            ("runtimePlatform", "operatingSystemFamily"),
        ),
        (fargate_container(healthCheck={"command": ["NONE"]}), ("containerDefinitions", 0, "healthCheck", "command")),
        (
            bridge_container(linuxParameters={"maxSwap": 0}, memory=None, memoryReservation=64),
            ("containerDefinitions", 0, "linuxParameters", "maxSwap"),
        ),
    ],
)
def test_values_that_wherry_cannot_honour_are_refused_by_wherry(params: dict[str, Any], path: Path) -> None:
    (problem,) = problems(without_none(params))
    assert (problem.path, problem.source) == (path, Source.WHERRY)


@pytest.mark.parametrize(
    ("text", "units"),
    [("256", 256), (".25 vCPU", 256), ("1vcpu", 1024), ("0.5 VCPU", 512), ("0.3 vCPU", None), ("", None), ("-1", None)],
)
def test_cpu_is_units_or_vcpus(text: str, units: int | None) -> None:
    assert cpu_units(text) == units


@pytest.mark.parametrize(("text", "mib"), [("512", 512), ("0.5GB", 512), ("30 gb", 30720), ("1MB", None), ("²", None)])
def test_memory_is_mib_or_gigabytes(text: str, mib: int | None) -> None:
    assert memory_mib(text) == mib


@pytest.mark.parametrize(("cpu", "memory"), [(cpu, memory) for cpu, sizes in FARGATE_SIZES.items() for memory in sizes])
def test_every_fargate_size_is_taken_in_either_spelling(cpu: int, memory: int) -> None:
    assert found(fargate(cpu=str(cpu), memory=str(memory))) == []
    assert found(fargate(cpu=f"{cpu / 1024} vCPU", memory=f"{memory / 1024} GB")) == []


def test_fargate_sizes_are_those_of_the_api_reference() -> None:
    assert {cpu: (sizes[0], sizes[-1], len(sizes)) for cpu, sizes in FARGATE_SIZES.items()} == {
        256: (512, 2048, 3),
        512: (1024, 4096, 4),
        1024: (2048, 8192, 7),
        2048: (4096, 16384, 13),
        4096: (8192, 30720, 23),
        8192: (16384, 61440, 12),
        16384: (32768, 122880, 12),
    }


@pytest.mark.parametrize(
    ("params", "compatibilities"),
    [
        (FARGATE, ("EC2", "FARGATE")),
        (bridge(networkMode="awsvpc"), ("EC2",)),
        (bridge(networkMode="awsvpc", cpu="256", memory="512"), ("EC2", "FARGATE")),
        (BRIDGE, ("EXTERNAL", "EC2")),
    ],
)
def test_compatibilities_are_what_the_definition_could_run_on(
    params: dict[str, Any], compatibilities: tuple[str, ...]
) -> None:
    assert draft(params).compatibilities == compatibilities


@pytest.mark.parametrize(
    ("mode", "given", "stored"),
    [("awsvpc", None, 80), ("awsvpc", 80, 80), ("host", None, 80), ("bridge", None, 0), ("bridge", 8080, 8080)],
)
def test_host_ports_are_filled_in(mode: str, given: int | None, stored: int) -> None:
    port = {"containerPort": 80} | ({"hostPort": given} if given is not None else {})
    params = bridge_container(portMappings=[port]) | {"networkMode": mode}
    (mapping,) = draft(params).container_definitions[0].port_mappings
    assert (mapping.host_port, mapping.protocol) == (stored, "tcp")


def test_attributes_follow_from_the_features_used() -> None:
    params = fargate_container(
        image="000000000000.dkr.ecr.us-east-1.amazonaws.com/web", stopTimeout=5, memoryReservation=64, **CHECKED
    )
    assert draft(params).requires_attributes == (
        "com.amazonaws.ecs.capability.ecr-auth",
        "com.amazonaws.ecs.capability.docker-remote-api.1.21",
        "ecs.capability.container-health-check",
        "ecs.capability.container-ordering",
        "com.amazonaws.ecs.capability.docker-remote-api.1.18",
        "ecs.capability.task-eni",
    )


def test_only_a_definition_that_allows_faults_needs_a_host_for_them() -> None:
    for allows, needed in ((True, True), (False, False), (None, False)):
        made = draft(fargate_container() | ({} if allows is None else {"enableFaultInjection": allows}))
        assert ("ecs.capability.fault-injection" in made.requires_attributes) is needed
        # What is not said is not answered; false is.
        assert made.enable_fault_injection is allows


# For any definition ------------------------------------------------------------------------------------------------

POOLS: dict[str, list[Any]] = {
    "family": ["web", "a-b_C", "a b", ""],
    "name": ["app", "db", "x y", "nofile", "net.core.somaxconn", ""],
    "containerName": ["app", "db"],
    "image": ["nginx", "a/b:1", "a b"],
    "networkMode": ["awsvpc", "bridge", "host", "none", "x"],
    "cpu": ["256", ".5 vCPU", "nonsense"],
    "memory": ["512", "1GB", "nonsense"],
    "command": [["CMD", "true"], ["CMD-SHELL", "x"], [], ["run"]],
    "requiresCompatibilities": [["FARGATE"], ["EC2"], ["EXTERNAL"], []],
}


def any_of(shape: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Values with the types of the model, some sensible, some not."""
    if name in POOLS and isinstance(POOLS[name][0], {"string": str, "list": list}.get(shape.type_name, tuple)):
        return st.sampled_from(POOLS[name]).map(copy.deepcopy)
    if shape.type_name == "structure":
        members = {key: any_of(member, key) for key, member in shape.members.items()}
        required = {key: members.pop(key) for key in shape.required_members}
        return st.fixed_dictionaries(required, optional=members)
    if shape.type_name == "list":
        return st.lists(any_of(shape.member, name), max_size=2)
    if shape.type_name == "map":
        return st.dictionaries(st.sampled_from(["a", "b"]), any_of(shape.value), max_size=2)
    scalars: dict[str, list[Any]] = {"string": [*shape_enum(shape), "", "x", "/x"], "boolean": [True, False]}
    return st.sampled_from(scalars.get(shape.type_name, [-1, 0, 1, 2, 10, 80, 300, 70_000]))


def shape_enum(shape: Any) -> list[str]:
    return list(shape.enum) if shape.type_name == "string" else []


@given(any_of(INPUT))
@settings(max_examples=300)
def test_the_rules_answer_for_every_request_that_has_the_shape_of_the_model(params: dict[str, Any]) -> None:
    for problem in problems(params):
        assert problem.message
        assert problem.error().status == 400
        value: Any = params
        for step in problem.path:
            value = value[step]


@st.composite
def good_definitions(draw: st.DrawFn) -> dict[str, Any]:
    """Definitions that are mostly acceptable, in all network modes."""
    mode = draw(st.sampled_from(["awsvpc", "bridge", "host", "none", None]))
    cpu = draw(st.sampled_from(list(FARGATE_SIZES)))
    params: dict[str, Any] = {"family": draw(st.sampled_from(["web", "A_b-9"]))}
    if mode:
        params["networkMode"] = mode
    if mode == "awsvpc":
        params |= {"cpu": f"{cpu / 1024} vCPU", "memory": str(draw(st.sampled_from(FARGATE_SIZES[cpu])))}
        params["requiresCompatibilities"] = draw(st.sampled_from([["FARGATE"], ["EC2", "FARGATE"], []]))
    names = draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True))
    params["containerDefinitions"] = [draw(good_containers(name, number)) for number, name in enumerate(names)]
    return params


def good_containers(name: str, number: int) -> st.SearchStrategy[dict[str, Any]]:
    texts = st.lists(st.sampled_from(["x", "y z", ""]), max_size=2)
    ports = st.integers(1, 9000).map(lambda n: [{"containerPort": 3 * n + number}])
    check = st.sampled_from([{"command": ["CMD", "x"]}, {"command": ["CMD-SHELL", "x"], "interval": 5, "retries": 1}])
    optional: dict[str, st.SearchStrategy[Any]] = {
        "cpu": st.integers(0, 64),
        "memoryReservation": st.integers(4, 64),
        "command": texts,
        "entryPoint": texts,
        "portMappings": ports,
        "environment": st.lists(st.fixed_dictionaries({"name": st.just("N"), "value": st.text()}), max_size=2),
        "healthCheck": check,
        "stopTimeout": st.integers(2, 120),
        "interactive": st.booleans(),
        "readonlyRootFilesystem": st.booleans(),
        "dockerLabels": st.dictionaries(st.sampled_from(["k", "l"]), st.text(max_size=3)),
        "linuxParameters": st.sampled_from([{}, {"initProcessEnabled": True}, {"capabilities": {"drop": ["ALL"]}}]),
        "ulimits": st.just([{"name": "nofile", "softLimit": 1, "hardLimit": 2}]),
        "systemControls": st.just([{"namespace": "net.core.somaxconn", "value": "9"}]),
        "mountPoints": st.just([]),
        "restartPolicy": st.just({"enabled": False}),
    }
    return st.fixed_dictionaries(
        {"name": st.just(name), "image": st.just("img"), "memory": st.just(64)}, optional=optional
    )


@given(good_definitions())
@settings(max_examples=300)
def test_what_is_shown_can_be_registered_again_and_is_the_same(params: dict[str, Any]) -> None:
    assume(not found(params))
    first = draft(params)
    shown = view(first.revision(1, scope=SCOPE, now=1.0, registered_by="me"))
    again = {name: member for name, member in shown.items() if name in INPUT.members}
    assert found(again) == []
    assert draft(again) == first
