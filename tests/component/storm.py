"""Requests that nobody should send, made from the services' own models: a seed gives the same ones every time. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any
from urllib.parse import quote_plus

from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from wherry.wire.message import Request

NASTY_TEXTS = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "\u202egnp.exe",
    "\U0001f600" * 40,
    "x" * 300,
    "x" * 70_000,
    "../../../etc/passwd",
    "$(reboot)`reboot`;reboot",
    "' OR 1=1 --",
    "%s%n%d",
    "{{7*7}}",
    "-1",
    "null",
    "true",
    "arn:aws:ecs:::",
    "arn:aws:ecs:us-east-1:000000000000:cluster/",
    "arn:aws:ecs:us-east-1:000000000000:task/default/" + "f" * 32,
    "arn:aws:ecs:eu-west-9:999999999999:service/other/web",
    "web:0",
    "web:-1",
    "web:99999999999999999999999",
    "\u0130",
    "\r\nX-Injected: yes",
)
NASTY_NUMBERS = (0, -1, 1, 2**31, 2**31 - 1, -(2**31), 2**63, 2**64, -(2**63) - 1, 10**40, 0.1, -0.0, 1e308, 1e-308)
NASTY_JSON = (
    "NaN",
    "Infinity",
    "1e999",
    "-1e999",
    "01",
    '"\\ud800"',
    '"\\u0000"',
    "{}",
    "[]",
    "[null]",
    "null",
    "true",
    '{"":{"":{}}}',
    "[" * 10_000 + "]" * 10_000,
    '{"a":' * 10_000 + "1" + "}" * 10_000,
)
KNOWN: dict[str, tuple[str, ...]] = {
    "cluster": ("default", "other"),
    "clusterName": ("default", "fresh"),
    "clusters": ("default", "other"),
    "taskDefinition": ("web", "web:1"),
    "service": ("web",),
    "serviceName": ("web", "fresh"),
    "services": ("web",),
    "family": ("web", "fresh"),
    "launchType": ("FARGATE", "EC2"),
    "name": ("app", "web", "containerInsights", "taskLongArnFormat"),
    "image": ("example/app:1",),
    "cpu": ("256", "512"),
    "memory": ("512", "1024"),
    "networkMode": ("awsvpc",),
    "nextToken": ("bm9uc2Vuc2U=",),
    "clientToken": ("token-1", "token-2"),
    "subnets": ("subnet-unknown",),
    "logGroupName": ("/app", "fresh"),
    "logGroupNames": ("/app",),
    "logGroupIdentifier": ("/app", "arn:aws:logs:us-east-1:000000000000:log-group:/app:*"),
    "logGroupIdentifiers": ("/app",),
    "logStreamName": ("s", "fresh"),
    "logStreamNames": ("s",),
    "filterPattern": ("a", "{ $.a = 1 }", "[a, ...]"),
    "queryString": ("fields @message", "stats count(*) by level"),
}
"""What members of these names often hold, so that requests get past the first check."""


class Storm:
    """A seed's worth of requests, mostly to the operations that are `done`; `known` are values by member name."""

    def __init__(
        self,
        seed: int,
        done: Sequence[OperationModel],
        refused: Sequence[OperationModel],
        known: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.random = Random(seed)
        self.done = done
        self.refused = refused
        self.known = {**KNOWN, **known}

    def request(self) -> tuple[OperationModel, Request]:
        """Make the next request, and tell what it pretends to be."""
        operation = self.random.choice(self._often(self.done, 0.97, (self.refused,)))
        return operation, (self._json if _is_json(operation.service_model) else self._query)(operation)

    def _json(self, operation: OperationModel) -> Request:
        text = self._input(operation)
        if self.random.random() < 0.15:
            text = self._broken(text)
        kind = self._often("application/x-amz-json-1.1", 0.97, ("application/cbor", "text/xml", "", "application/json"))
        target = f"{operation.service_model.metadata['targetPrefix']}.{operation.name}"
        return _request(operation, text.encode("utf-8", "surrogatepass"), kind, ("x-amz-target", target))

    def _query(self, operation: OperationModel) -> Request:
        words = {"Action": operation.name, "Version": operation.service_model.api_version}
        if operation.input_shape is not None:
            self._flatten("", self._value(operation.input_shape, "", 0), words)
        if self.random.random() < 0.3:
            index = self.random.choice(("99999999999", "-1", "0", "x", "", "1.1.1"))
            words[f"{self.random.choice(('Filter', 'VpcId', 'Filters.member', 'MaxResults'))}.{index}.Name"] = "x"
        pairs = [f"{quote_plus(k, errors='replace')}={quote_plus(v, errors='replace')}" for k, v in words.items()]
        self.random.shuffle(pairs)
        body = "&".join(pairs + pairs[: self.random.choice((0, 0, 0, 1))])
        if self.random.random() < 0.1:
            body = self._broken(body)
        kind = "application/x-www-form-urlencoded; charset=utf-8"
        return _request(operation, body.encode("utf-8", "surrogatepass"), kind)

    def _flatten(self, prefix: str, value: Any, into: dict[str, str]) -> None:
        match value:
            case dict():
                for key, one in value.items():
                    self._flatten(f"{prefix}.{key}" if prefix else str(key), one, into)
            case list():
                for index, one in enumerate(value, 1):
                    self._flatten(f"{prefix}.{index}", one, into)
            case _:
                into[prefix] = str(value)

    def _input(self, operation: OperationModel) -> str:
        value = {} if operation.input_shape is None else self._value(operation.input_shape, "", 0)
        text = json.dumps(value, ensure_ascii=self.random.random() < 0.5)
        if self.random.random() < 0.05 and text.startswith('{"'):
            text = "{" + text[1:-1] + "," + text[1:]  # every key twice
        return text.replace('"<json>"', self.random.choice(NASTY_JSON), 1)

    def _broken(self, text: str) -> str:
        cut = self.random.randrange(len(text) + 1)
        return self.random.choice(
            (
                text[:cut],
                text[:cut] + "\x00" + text[cut:],
                text + text,
                self.random.choice(NASTY_JSON),
                "<xml/>",
                "\xbf\xff\xa1" + text,
                "\ufeff" + text,
                "",
            )
        )

    def _value(self, shape: Shape, name: str, depth: int) -> Any:
        if depth > 0 and self.random.random() < 0.04:
            return self._nasty()
        match shape:
            case StructureShape():
                required = set(shape.required_members)
                return {
                    member: self._value(of, member, depth + 1)
                    for member, of in shape.members.items()
                    if self.random.random() < (0.97 if member in required else 0.3 / (depth + 1))
                }
            case ListShape():
                number = self.random.choice((0, 1, 1, 1, 2, 3, 12))
                return [self._value(shape.member, name, depth + 1) for _ in range(number)]
            case MapShape():
                keys = [self._value(shape.key, name, depth + 1) for _ in range(self.random.randrange(3))]
                return {str(key): self._value(shape.value, name, depth + 1) for key in keys}
        return self._scalar(shape, name)

    def _scalar(self, shape: Shape, name: str) -> Any:
        match shape.type_name:
            case "string":
                if getattr(shape, "enum", None) and name not in self.known:
                    return self.random.choice(shape.enum)
                return self._often(self.random.choice(self.known.get(name, ("a", "web"))), 0.85, NASTY_TEXTS)
            case "boolean":
                return self.random.choice((True, False))
            case "timestamp":
                return self._often(1_700_000_000, 0.7, (*NASTY_NUMBERS, "yesterday"))
            case "integer" | "long" | "double" | "float":
                return self._often(self.random.choice((0, 1, 2, 10, 100, 200)), 0.8, NASTY_NUMBERS)
        return self._nasty()

    def _nasty(self) -> Any:
        return self.random.choice((None, "<json>", {}, [], [[]], True, *NASTY_TEXTS, *NASTY_NUMBERS))

    def _often(self, usual: Any, share: float, otherwise: tuple[Any, ...]) -> Any:
        return usual if self.random.random() < share else self.random.choice(otherwise)


def _is_json(service: ServiceModel) -> bool:
    return service.metadata["protocol"] == "json"


def _request(operation: OperationModel, body: bytes, kind: str, *headers: tuple[str, str]) -> Request:
    credential = f"Credential=test/20200101/us-east-1/{operation.service_model.signing_name}/aws4_request"
    signed = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"
    own = (("host", "localhost"), ("content-type", kind), ("authorization", signed))
    return Request(method="POST", path="/", headers=(*own, *headers), body=body)
