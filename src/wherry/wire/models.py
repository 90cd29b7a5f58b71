"""Service models from botocore: which service and operation a request means, and its compiled shapes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, get_args

import msgspec
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from wherry.model.errors import InvalidParameterException
from wherry.wire.errors import WireError
from wherry.wire.form import Reader, compile_reader
from wherry.wire.message import Protocol
from wherry.wire.shapes import ShapeTypes, compile_check, missing_sentence
from wherry.wire.xml import Writer, compile_writer

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


HEAD = 16 * 1024
"""Characters of a model's file among which what identifies the service is: everything else comes behind it."""


@lru_cache(maxsize=1)
def _loader() -> Any:
    """Botocore's own models, whatever the user has in ~/.aws/models."""
    return Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)


@lru_cache(maxsize=32)
def load(service_id: str) -> Service:
    """The model of the service that botocore calls `service_id`; raises botocore's `UnknownServiceError`."""
    return Service(service_id, _metadata(service_id))


def _metadata(service_id: str) -> dict[str, Any]:
    """Read what identifies a service from the beginning of its file: the whole costs tens of megabytes."""
    if service_id not in _loader().list_available_services("service-2"):
        raise UnknownServiceError(service_name=service_id, known_service_names="those of botocore")
    version = _loader().determine_latest_version(service_id, "service-2")
    path = Path(Loader.BUILTIN_DATA_PATH, service_id, version, "service-2.json.gz")
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            head = file.read(HEAD)
        _, found, rest = head.partition('"metadata":')
        if found:
            metadata: dict[str, Any] = json.JSONDecoder().raw_decode(rest.lstrip())[0]
            return metadata
    whole: dict[str, Any] = _loader().load_service_model(service_id, "service-2")["metadata"]
    return whole


class Service:
    """One service; its model is read at its first use, its operations are compiled at theirs, and both are kept."""

    def __init__(self, service_id: str, metadata: dict[str, Any]) -> None:
        """Take what identifies the service; raises `ValueError` if it speaks no protocol of ours."""
        self.id = service_id
        self.protocols = frozenset(metadata.get("protocols", [metadata["protocol"]])) & frozenset(PROTOCOLS)
        if not self.protocols:
            raise ValueError(f"{service_id} speaks {metadata['protocol']}, which is not among {', '.join(PROTOCOLS)}.")
        self.signing_name: str = metadata.get("signingName", metadata["endpointPrefix"])
        self.api_version: str = metadata["apiVersion"]
        self.json_version: str = metadata.get("jsonVersion", "1.1")
        self.target_prefix: str | None = metadata.get("targetPrefix")
        self.xml_namespace: str | None = metadata.get("xmlNamespace")
        self._operations: dict[str, Operation] = {}
        self.input_types = ShapeTypes(forbid_unknown=False)
        self.output_types = ShapeTypes(forbid_unknown=True)

    @cached_property
    def model(self) -> ServiceModel:
        """The whole model."""
        return ServiceModel(_loader().load_service_model(self.id, "service-2"), self.id)

    @cached_property
    def operation_names(self) -> frozenset[str]:
        """The operations that the model knows."""
        return frozenset(self.model.operation_names)

    def operation(self, name: str) -> Operation:
        """The compiled operation `name`, which must be one of `operation_names`."""
        if (made := self._operations.get(name)) is None:
            made = self._operations[name] = Operation(self, self.model.operation_model(name))
        return made

    @cached_property
    def _errors(self) -> dict[str, Any]:
        return {shape.name: shape for shape in self.model.error_shapes}

    def error_shape(self, name: str) -> Any | None:
        """The modelled error `name`."""
        return self._errors.get(name)

    def error_members(self, name: str) -> frozenset[str]:
        """The members of the modelled error `name`; empty when the model does not know it."""
        shape = self._errors.get(name)
        return frozenset(shape.members) if shape else frozenset()

    def missing(self, path: str, is_list: bool) -> Exception:  # noqa: FBT001 - the shape of MissingError
        """The service's error for a required member that is absent."""
        if "json" not in self.protocols:
            return WireError("MissingParameter", f"The request must contain the parameter {path}.")
        sentence = missing_sentence(path, is_list=is_list)
        if InvalidParameterException.__name__ in self._errors:
            return InvalidParameterException(sentence)
        return WireError("ValidationException", sentence)


class Operation:
    """One operation: its types, its checks and what its model says about the wire."""

    def __init__(self, service: Service, model: OperationModel) -> None:
        """Compile the shapes of `model`."""
        self.service = service
        self.name: str = model.name
        self.input_shape = model.input_shape
        self.output_shape = model.output_shape
        self.input_type: type[msgspec.Struct] = service.input_types.root(model.input_shape)
        self.output_type: type[msgspec.Struct] = service.output_types.root(model.output_shape)
        self.check = compile_check(model.input_shape, service.missing)
        self.unsigned_payload = bool(model.unsigned_payload)
        self.event_stream: str | None = _event_stream(model.output_shape)
        """The member of the output that is a stream of events, if there is one."""

    @cached_property
    def event_type(self) -> type[msgspec.Struct]:
        """The type of one event of the stream: a structure with exactly one of its members."""
        return self.service.output_types.root(self.output_shape.members[self.event_stream])

    @cached_property
    def reader(self) -> Reader:
        """Reads the operation's form."""
        return compile_reader(self.input_shape, ec2="ec2" in self.service.protocols)

    @cached_property
    def writer(self) -> Writer | None:
        """Writes the operation's result as XML; `None` when it has none."""
        return compile_writer(self.output_shape) if self.output_shape is not None else None


def _event_stream(output_shape: Any) -> str | None:
    members = output_shape.members if output_shape is not None else {}
    return next((name for name, shape in members.items() if shape.serialization.get("eventstream")), None)


class Target(msgspec.Struct, frozen=True):
    """What a request asks for, before it is known whether the operation exists."""

    service: Service
    protocol: Protocol
    operation: str


class Catalog:
    """The services that a table names, found by what a request shows of them."""

    def __init__(self, service_ids: Iterable[str]) -> None:
        """Look up what identifies the services."""
        self.services = {service_id: load(service_id) for service_id in service_ids}
        self._by_target = {
            service.target_prefix: service
            for service in self.services.values()
            if "json" in service.protocols and service.target_prefix
        }

    def by_target(self, target: str) -> Target | None:
        """The target of an `X-Amz-Target` header."""
        prefix, _, operation = target.rpartition(".")
        service = self._by_target.get(prefix)
        return Target(service, "json", operation) if service else None

    def by_action(self, action: str, *, version: str | None, signing_name: str | None) -> Target | None:
        """The target of a form: the signature's scope decides, then `Version`, then who has the `Action`.

        What decides last would read every model, and is asked only where the others leave it open.
        """
        left = [service for service in self.services.values() if service.protocols & {"query", "ec2"}]
        is_meant = False
        tests: tuple[Callable[[Service], bool], ...] = (
            lambda service: service.signing_name == signing_name,
            lambda service: service.api_version == version,
            lambda service: action in service.operation_names,
        )
        for fits in tests:
            if is_meant and len(left) == 1:
                break
            fitting = [service for service in left if fits(service)]
            is_meant, left = is_meant or bool(fitting), fitting or left
        if not is_meant:
            return None
        return Target(left[0], "ec2" if "ec2" in left[0].protocols else "query", action)
