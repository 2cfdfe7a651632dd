"""A table's schema as text: an Avro record schema in JSON, from Arrow and back without a difference.  Pure.

It is what the register pins, what Avro files embed, and what users give as sink.schema.  A field that may be null is
a union of null and its type.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pyarrow as pa

MILLIS, MICROS = pa.timestamp("ms", "UTC"), pa.timestamp("us", "UTC")
NAME = b"avro.name"  # metadata: the full name of the user's record, for readers that compare names
_TYPES: Mapping[str, pa.DataType] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
}
_LOGICAL: Mapping[tuple[str, str], pa.DataType] = {
    ("int", "date"): pa.date32(),
    ("long", "timestamp-millis"): MILLIS,
    ("long", "timestamp-micros"): MICROS,
    ("string", "uuid"): pa.string(),
}
_TEXTS = {type_: name for name, type_ in _TYPES.items()}
_LOGICAL_TEXTS = {type_: key for key, type_ in _LOGICAL.items() if key[1] != "uuid"}


def to_json(schema: pa.Schema) -> str:
    """Raises ValueError for a type that is none of ours."""
    return json.dumps(as_avro(schema), ensure_ascii=False)


def as_avro(schema: pa.Schema) -> dict[str, Any]:
    """The Avro schema as Avro libraries take it."""
    name = (schema.metadata or {}).get(NAME, b"row").decode()
    return {"type": "record", "name": name, "fields": _fields(schema, count(1))}


def from_json(text: str) -> pa.Schema:
    """The schema that the text says.  Defaults, aliases and docs may stand there and mean nothing to a writer.

    Raises ValueError saying what is wrong, or which part has no counterpart in tables.
    """
    import fastavro.schema as avro

    try:
        expanded = avro.expand_schema(json.loads(text))
    except ValueError as e:  # an unknown name too
        raise ValueError(f"no Avro schema: {e}") from None
    except (avro.SchemaParseException, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise ValueError(f"no Avro schema: {type(e).__name__}: {e}") from None
    if not isinstance(expanded, dict) or expanded.get("type") != "record":
        raise ValueError("must be an Avro schema of type record")
    metadata = None if expanded["name"] == "row" else {NAME: expanded["name"]}
    return pa.schema(_read_fields(expanded, ""), metadata)


def _fields(fields: Any, numbers: Iterator[int]) -> list[dict[str, Any]]:
    return [
        {"name": field.name, "type": _text(field, numbers)} | ({"default": None} if field.nullable else {})
        for field in fields
    ]


def _text(field: pa.Field, numbers: Iterator[int]) -> Any:
    text = _type_text(field.type, numbers)
    return ["null", text] if field.nullable and text != "null" else text


def _type_text(type_: pa.DataType, numbers: Iterator[int]) -> Any:
    if type_ in _TEXTS:
        return _TEXTS[type_]
    if type_ in _LOGICAL_TEXTS:
        base, logical = _LOGICAL_TEXTS[type_]
        return {"type": base, "logicalType": logical}
    if pa.types.is_decimal128(type_) and type_.scale >= 0:
        return {"type": "bytes", "logicalType": "decimal", "precision": type_.precision, "scale": type_.scale}
    if pa.types.is_struct(type_):
        return {"type": "record", "name": f"row{next(numbers)}", "fields": _fields(type_, numbers)}
    if pa.types.is_list(type_):
        return {"type": "array", "items": _text(type_.value_field, numbers)}
    if pa.types.is_map(type_) and type_.key_type == pa.string():
        return {"type": "map", "values": _text(type_.item_field, numbers)}
    raise ValueError(f"columns of type {type_} are not supported")


def _read_fields(record: Mapping[str, Any], path: str) -> list[pa.Field]:
    names = [field["name"] for field in record["fields"]]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{path or 'the record'} has two fields {min(twice)}")
    return [_read(f["name"], f["type"], f"{path}.{f['name']}" if path else f["name"]) for f in record["fields"]]


def _read(name: str, text: Any, path: str) -> pa.Field:
    if not isinstance(text, list):
        return pa.field(name, _read_type(text, path), nullable=text == "null")
    others = [each for each in text if each != "null"]
    if len(others) != 1 or len(text) != 2:
        raise ValueError(f"{path} is a union of other than null and one type, which no column can be")
    return pa.field(name, _read_type(others[0], path))


def _read_type(text: Any, path: str) -> pa.DataType:
    if isinstance(text, str):
        if text not in _TYPES:
            raise ValueError(f"{path} is of the record {text} again: recursive types fit no columns")
        return _TYPES[text]
    kind, logical = text["type"], text.get("logicalType")
    if kind == "record":
        return pa.struct(_read_fields(text, path))
    if kind == "array":
        return pa.list_(_read("item", text["items"], f"{path}[]"))
    if kind == "map":
        return pa.map_(pa.string(), _read("value", text["values"], f"{path} value"))
    if logical == "decimal" and kind in ("bytes", "fixed"):
        return _read_decimal(text, path)
    if (kind, logical) in _LOGICAL:
        return _LOGICAL[kind, logical]
    if logical is not None or kind not in _TYPES:
        raise ValueError(f"{path} is of type {logical or kind}, which is not supported")
    return _TYPES[kind]


def _read_decimal(text: Mapping[str, Any], path: str) -> pa.DataType:
    try:
        return pa.decimal128(text["precision"], text.get("scale", 0))
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{path}: {e}") from None
