"""Every member of RegisterTaskDefinition's input: honoured, or refused with a sentence that says what to do.

The table is checked against the service model by a test, and printed in `docs/reference/task-definition.md`. What lies
below a refused member is refused with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from wherry.model.problem import Path, Problem, Source, written


class Honoured(msgspec.Struct, frozen=True):
    """A member that has its effect. `shape` names its row of `FIELDS` if it is a structure or a list of them.

    `on_engine` tells that a container shows the effect; of the others the control plane takes note alone.
    """

    shape: str | None = None
    note: str = ""
    on_engine: bool = True


class Refused(msgspec.Struct, frozen=True):
    """A member that RegisterTaskDefinition does not take yet.

    `sentence` says why and what to do. Values that ask for nothing are no reason to refuse: empty ones, and those of
    which `neutral` is true. `on_linux` false: it means nothing but on Windows, on ECS as well.
    """

    sentence: str
    neutral: Callable[[Any], bool] | None = None
    on_linux: bool = True

    def allows(self, value: Any) -> bool:
        """Tell whether `value` asks for nothing."""
        return not value or (self.neutral is not None and self.neutral(value))


Verdict = Honoured | Refused

ROOT = "RegisterTaskDefinitionRequest"

_APP_MESH = "AWS App Mesh is not part of Wherry. "

FIELDS: Mapping[str, Mapping[str, Verdict]] = {
    ROOT: {
        "family": Honoured(on_engine=False),
        "taskRoleArn": Honoured(note="A role that does not exist is created or refused: setting `missing_roles`."),
        "executionRoleArn": Honoured(note="For secrets and logs; the same setting decides about one that is missing."),
        "networkMode": Honoured(note="Only awsvpc tasks find capacity: container instances are not there yet."),
        "containerDefinitions": Honoured("ContainerDefinition"),
        "volumes": Honoured("Volume"),
        "placementConstraints": Refused(
            "Wherry does not evaluate placement constraints of task definitions yet. Remove placementConstraints."
        ),
        "requiresCompatibilities": Honoured(
            on_engine=False, note="FARGATE, EC2, EXTERNAL; MANAGED_INSTANCES is refused."
        ),
        "cpu": Honoured(note='"256" or "0.25 vCPU".'),
        "memory": Honoured(note='"512" or "0.5 GB".'),
        "tags": Honoured("Tag", on_engine=False),
        "pidMode": Honoured(note="On Fargate task only, as on ECS; host if the setting `host_namespaces` allows it."),
        "ipcMode": Honoured(note="As on ECS not on Fargate; host if the setting `host_namespaces` allows it."),
        "proxyConfiguration": Refused(_APP_MESH + "Remove proxyConfiguration."),
        "inferenceAccelerators": Refused("AWS has retired Elastic Inference. Remove inferenceAccelerators."),
        "ephemeralStorage": Honoured(
            "EphemeralStorage",
            note="A task that is found to use more is stopped; without it a task may use what the engine's disk has.",
        ),
        "runtimePlatform": Honoured("RuntimePlatform", on_engine=False),
        "enableFaultInjection": Honoured(
            note="Latency and packet loss need sch_prio and sch_netem of the host's kernel: without, a request says so."
        ),
        "trustedExecutionConfiguration": Refused(
            "Wherry runs tasks on shared hosts, without Nitro sandboxes. Remove trustedExecutionConfiguration or set "
            "isolationMode to SHARED.",
            neutral=lambda value: value.get("isolationMode") == "SHARED" and not value.get("attestationPolicy"),
        ),
    },
    "RuntimePlatform": {
        "cpuArchitecture": Honoured(on_engine=False, note="Tasks are placed on hosts of this architecture."),
        "operatingSystemFamily": Honoured(on_engine=False, note="LINUX; Windows is refused."),
    },
    "EphemeralStorage": {"sizeInGiB": Honoured()},
    "Tag": {"key": Honoured(on_engine=False), "value": Honoured(on_engine=False)},
    "ContainerDefinition": {
        "name": Honoured(),
        "image": Honoured(),
        "repositoryCredentials": Honoured("RepositoryCredentials"),
        "cpu": Honoured(),
        "memory": Honoured(),
        "memoryReservation": Honoured(),
        "links": Refused(
            "Wherry does not link containers. Remove links: containers of an awsvpc task reach each other on localhost."
        ),
        "portMappings": Honoured("PortMapping"),
        "essential": Honoured(),
        "restartPolicy": Honoured("ContainerRestartPolicy"),
        "entryPoint": Honoured(),
        "command": Honoured(),
        "environment": Honoured("KeyValuePair"),
        "environmentFiles": Honoured("EnvironmentFile", note="Read from the setting `s3_endpoint_url`."),
        "mountPoints": Honoured("MountPoint"),
        "volumesFrom": Honoured("VolumeFrom"),
        "linuxParameters": Honoured("LinuxParameters"),
        "secrets": Honoured("Secret"),
        "dependsOn": Honoured("ContainerDependency"),
        "startTimeout": Honoured(),
        "stopTimeout": Honoured(),
        "versionConsistency": Honoured(
            on_engine=False, note="Services pin the image to a digest unless it is `disabled`."
        ),
        "hostname": Honoured(on_engine=False, note="As on ECS not with awsvpc, the only mode with capacity yet."),
        "user": Honoured(),
        "workingDirectory": Honoured(),
        "disableNetworking": Honoured(note="As on ECS not on Fargate."),
        "privileged": Honoured(note="As on ECS not on Fargate, and only if the setting `host_privileged` allows it."),
        "readonlyRootFilesystem": Honoured(),
        "dnsServers": Honoured(),
        "dnsSearchDomains": Honoured(),
        "extraHosts": Honoured("HostEntry", note="As on ECS not with awsvpc."),
        "dockerSecurityOptions": Honoured(
            note="As on ECS not on Fargate; all but no-new-privileges only if the setting `host_privileged` allows it."
        ),
        "interactive": Honoured(),
        "pseudoTerminal": Honoured(),
        "dockerLabels": Honoured(),
        "ulimits": Honoured("Ulimit"),
        "logConfiguration": Honoured("LogConfiguration"),
        "healthCheck": Honoured("HealthCheck"),
        "systemControls": Honoured("SystemControl"),
        "resourceRequirements": Refused(
            "Wherry does not schedule GPUs and other accelerators yet. Remove resourceRequirements."
        ),
        "firelensConfiguration": Honoured("FirelensConfiguration"),
        "credentialSpecs": Refused(
            "Wherry does not have Active Directory credentials. Remove credentialSpecs.", on_linux=False
        ),
    },
    "PortMapping": {
        "containerPort": Honoured(),
        "hostPort": Honoured(on_engine=False, note="With awsvpc, the only mode with capacity yet, the containerPort."),
        "protocol": Honoured(),
        "name": Honoured(on_engine=False, note="Shown; Service Connect, which uses it, is not there yet."),
        "appProtocol": Honoured(on_engine=False, note="Shown; Service Connect, which uses it, is not there yet."),
        "containerPortRange": Honoured(note="With awsvpc, where all ports of a task are reached at its own address."),
    },
    "RepositoryCredentials": {"credentialsParameter": Honoured()},
    "LogConfiguration": {
        "logDriver": Honoured(note="On Fargate awslogs, splunk and awsfirelens, as on ECS."),
        "options": Honoured(note="Those of other drivers than awslogs are the container engine's."),
        "secretOptions": Honoured("Secret"),
    },
    "FirelensConfiguration": {
        "type": Honoured(),
        "options": Honoured(note="A configuration file is one of the router's image, as on Fargate."),
    },
    "Secret": {"name": Honoured(), "valueFrom": Honoured()},
    "Volume": {
        "name": Honoured(),
        "host": Honoured("HostVolumeProperties", note="Without sourcePath: a volume that goes with the task."),
        "dockerVolumeConfiguration": Honoured("DockerVolumeConfiguration", note="As on ECS not on Fargate."),
        "efsVolumeConfiguration": Honoured("EFSVolumeConfiguration", note="As the host's setting `efs` maps it."),
        "s3filesVolumeConfiguration": Refused(
            "Wherry does not mount S3 Files file systems. Remove s3filesVolumeConfiguration and use an "
            "efsVolumeConfiguration that the host maps to a directory."
        ),
        "fsxWindowsFileServerVolumeConfiguration": Refused(
            "Wherry runs Linux containers, and FSx for Windows File Server is for Windows ones. Remove "
            "fsxWindowsFileServerVolumeConfiguration.",
            on_linux=False,
        ),
        "configuredAtLaunch": Honoured(note="RunTask, StartTask or the service say `volumeConfigurations`."),
    },
    "HostVolumeProperties": {
        "sourcePath": Honoured(note="As on ECS not on Fargate, and only below the setting `host_paths`."),
    },
    "DockerVolumeConfiguration": {
        "scope": Honoured(),
        "autoprovision": Honoured(),
        "driver": Honoured(),
        "driverOpts": Honoured(note="A path of the host in them must be one that the setting `host_paths` allows."),
        "labels": Honoured(),
    },
    "EFSVolumeConfiguration": {
        "fileSystemId": Honoured(note="One that the setting `efs` of the host maps: to a directory, or an NFS export."),
        "rootDirectory": Honoured(),
        "transitEncryption": Honoured(note="An NFS export is then mounted with xprtsec=tls."),
        "transitEncryptionPort": Refused(
            "Nothing that Wherry mounts uses a port of the host for TLS. Remove transitEncryptionPort."
        ),
        "authorizationConfig": Honoured("EFSAuthorizationConfig"),
    },
    "EFSAuthorizationConfig": {
        "accessPointId": Honoured(note="One that the setting `efs` maps; its user is that of the container."),
        "iam": Refused(
            "A file system that is mapped by settings has no IAM policy. Remove iam or set it to DISABLED.",
            neutral=lambda value: value == "DISABLED",
        ),
    },
    "MountPoint": {"sourceVolume": Honoured(), "containerPath": Honoured(), "readOnly": Honoured()},
    "VolumeFrom": {"sourceContainer": Honoured(), "readOnly": Honoured()},
    "EnvironmentFile": {"value": Honoured(), "type": Honoured()},
    "KeyValuePair": {"name": Honoured(), "value": Honoured()},
    "LinuxParameters": {
        "capabilities": Honoured("KernelCapabilities"),
        "devices": Honoured("Device", note="As on ECS not on Fargate, and only if `host_devices` allows it."),
        "initProcessEnabled": Honoured(),
        "sharedMemorySize": Honoured(note="As on ECS not on Fargate."),
        "tmpfs": Honoured("Tmpfs", note="As on ECS not on Fargate."),
        "maxSwap": Honoured(note="As on ECS not on Fargate."),
        "swappiness": Honoured(note="As on ECS not on Fargate."),
    },
    "KernelCapabilities": {
        "add": Honoured(
            note="On Fargate only SYS_PTRACE, as on ECS; else what the setting `host_capabilities` allows."
        ),
        "drop": Honoured(),
    },
    "Device": {"hostPath": Honoured(), "containerPath": Honoured(), "permissions": Honoured()},
    "ContainerRestartPolicy": {
        "enabled": Honoured(),
        "ignoredExitCodes": Honoured(),
        "restartAttemptPeriod": Honoured(),
    },
    "Tmpfs": {"containerPath": Honoured(), "size": Honoured(), "mountOptions": Honoured()},
    "ContainerDependency": {"containerName": Honoured(), "condition": Honoured()},
    "HostEntry": {"hostname": Honoured(), "ipAddress": Honoured()},
    "Ulimit": {"name": Honoured(), "softLimit": Honoured(), "hardLimit": Honoured()},
    "HealthCheck": {
        "command": Honoured(),
        "interval": Honoured(),
        "timeout": Honoured(),
        "retries": Honoured(),
        "startPeriod": Honoured(),
    },
    "SystemControl": {"namespace": Honoured(), "value": Honoured()},
}


def refusals(
    params: Mapping[str, Any],
    shape: str = ROOT,
    path: Path = (),
    *,
    fields: Mapping[str, Mapping[str, Verdict]] = FIELDS,
) -> Iterator[Problem]:
    """Find what `params`, of the structure `shape` at `path`, asks for and Wherry does not honour yet."""
    members = fields[shape]
    for name, value in params.items():
        verdict = members.get(name)
        if isinstance(verdict, Refused):
            if not verdict.allows(value):
                here = (*path, name)
                yield Problem(here, f"{written(here)} is not supported: {verdict.sentence}", Source.WHERRY)
        elif verdict is not None and verdict.shape is not None:
            for place, item in _structures(value, (*path, name)):
                yield from refusals(item, verdict.shape, place, fields=fields)


def _structures(value: Any, path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield (*path, position), item
    elif value is not None:
        yield path, value
