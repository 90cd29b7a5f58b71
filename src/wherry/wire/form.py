"""Query and EC2-Query requests: a flat form becomes the members of an input shape.

The names are a tree: `Filter.1.Value.2=x`. It is built first, then read by a reader compiled from the shape.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from wherry.wire.errors import WireError
from wherry.wire.message import Request
from wherry.wire.shapes import MAX_DEPTH

Tree = dict[str, Any]
Reader = Callable[[Any, str], Any]
"""Reads one node (a text or a `Tree`) found at a path; raises `WireError`."""

MAX_PARAMETERS = 10_000


def parameters(request: Request) -> dict[str, str]:
    """The parameters of the query string and the body; raises `MalformedQueryString`."""
    try:
        pairs = [
            pair
            for text in (request.query, request.body.decode())
            for pair in parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
        ]
    except ValueError as error:  # UnicodeDecodeError among them
        raise _malformed(f"The form cannot be read: {error}.") from error
    if any("\x00" in part for pair in pairs for part in pair):
        raise _malformed("A parameter has a NUL character in it. Remove it.")
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("A parameter occurs twice.")
    return found


def tree_of(found: dict[str, str]) -> Tree:
    """The parameters as nested dicts, the parts of their names as keys."""
    root: Tree = {}
    for name, value in found.items():
        *parents, last = name.split(".")
        if len(parents) > MAX_DEPTH:
            raise _malformed(f"A parameter's name nests deeper than {MAX_DEPTH} levels.")
        node = root
        for part in parents:
            node = node.setdefault(part, {})
            if isinstance(node, str):
                break
        if isinstance(node, str) or isinstance(node.get(last), dict):
            raise _malformed(f"The parameter {name} is given both as a value and as a structure.")
        node[last] = value
    return root


def compile_reader(shape: Any, *, ec2: bool) -> Reader:
    """The reader of an operation's input `shape` (`None`: no members), by the naming rules of EC2-Query or of Query."""
    return _Readers(ec2=ec2).of(shape) if shape is not None else lambda _node, _path: {}


class _Readers:
    """Compiles the readers of one operation; a recursive shape meets its own, unfinished reader by name."""

    def __init__(self, *, ec2: bool) -> None:
        self._ec2 = ec2
        self._structures: dict[str, Reader] = {}

    def of(self, shape: Any) -> Reader:
        match shape.type_name:
            case "structure":
                return self._structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case name:
                return _scalar(_SCALARS[name])

    def _name(self, shape: Any, default: str) -> str:
        serialization = shape.serialization
        if not self._ec2:
            return str(serialization.get("name", default))
        if "queryName" in serialization:
            return str(serialization["queryName"])
        name = str(serialization.get("name", ""))
        return name[:1].upper() + name[1:] or default

    def _structure(self, shape: Any) -> Reader:
        if shape.name in self._structures:
            return self._structures[shape.name]
        members: list[tuple[str, str, Reader]] = []

        def read(node: Any, path: str) -> dict[str, Any]:
            tree = _tree(node, path)
            return {
                member: reader(found, f"{path}{name}.")
                for member, name, reader in members
                if (found := tree.get(name)) is not None
            }

        self._structures[shape.name] = read
        for member, inner in shape.members.items():
            name = self._name(inner, member)
            if not self._ec2 and inner.type_name == "list" and inner.serialization.get("flattened"):
                name = inner.member.serialization.get("name", name)  # a flattened list goes by its items' name
            members.append((member, name, self.of(inner)))
        return read

    def _list(self, shape: Any) -> Reader:
        read_item = self.of(shape.member)
        inner = None
        if not self._ec2 and not shape.serialization.get("flattened"):
            inner = shape.member.serialization.get("name", "member")

        def read(node: Any, path: str) -> list[Any]:
            if node == "":  # how Query says "empty list"
                return []
            return [read_item(item, f"{path}{key}.") for key, item in _numbered(node, path, inner)]

        return read

    def _map(self, shape: Any) -> Reader:
        read_value = self.of(shape.value)
        key_name, value_name = self._name(shape.key, "key"), self._name(shape.value, "value")
        inner = None if shape.serialization.get("flattened") else "entry"

        def read(node: Any, path: str) -> dict[str, Any]:
            entries = {}
            for number, entry in _numbered(node, path, inner):
                at = f"{path}{number}."
                pair = _tree(entry, at)
                if not isinstance(key := pair.get(key_name), str) or value_name not in pair:
                    raise _invalid(at, "needs a key and a value")
                entries[key] = read_value(pair[value_name], f"{at}{value_name}.")
            return entries

        return read


_NUMBER = re.compile(r"[0-9]{1,9}")


def _numbered(node: Any, path: str, inner: str | None) -> list[tuple[str, Any]]:
    """The numbered children of a list or map in the order of their numbers; gaps are allowed, as at AWS."""
    tree = _tree(node, path)
    if inner is not None:
        tree = _tree(tree.get(inner, {}), path)
    for key in tree:
        if not _NUMBER.fullmatch(key):
            raise _invalid(path, f"has the item {key!r}, which is no number")
    return sorted(tree.items(), key=lambda item: int(item[0]))


def _tree(node: Any, path: str) -> Tree:
    if isinstance(node, dict):
        return node
    raise _invalid(path, "must be a structure")


def _scalar(convert: Callable[[str], Any]) -> Reader:
    def read(node: Any, path: str) -> Any:
        if not isinstance(node, str):
            raise _invalid(path, "must be a single value")
        try:
            return convert(node)
        except (ValueError, OverflowError) as error:
            raise _invalid(path, f"cannot be {node[:64]!r}: {error}") from error

    return read


def _boolean(text: str) -> bool:
    match text.lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            raise ValueError("it is a boolean, true or false")


def _integer(bits: int) -> Callable[[str], int]:
    limit = 1 << (bits - 1)

    def convert(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
            raise ValueError("it is an integer")
        if not -limit <= (number := int(text)) < limit:
            raise ValueError(f"it is an integer of {bits} bits")
        return number

    return convert


def _float(text: str) -> float:
    if not text.isascii() or "_" in text:
        raise ValueError("it is a number")
    return float(text)


def _timestamp(text: str) -> float:
    """Epoch seconds from ISO 8601, or from a number."""
    if re.fullmatch(r"[0-9]{1,11}(\.[0-9]+)?", text):
        return float(text)
    moment = dt.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("it is Base64") from error


_SCALARS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "character": str,
    "boolean": _boolean,
    "integer": _integer(32),
    "long": _integer(64),
    "float": _float,
    "double": _float,
    "timestamp": _timestamp,
    "blob": _blob,
}


def _malformed(message: str) -> WireError:
    return WireError("MalformedQueryString", message)


def _invalid(path: str, what: str) -> WireError:
    return WireError("InvalidParameterValue", f"The parameter {path.rstrip('.') or 'set'} {what}.")
