"""Changing a written TFLite file through the schema's object form, for tests of the reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers

from edgepack.schema.tflite import IDENTIFIER, schema


def edited(data: bytes, change: Callable[[Any], None]) -> bytes:
    """The file after `change` has had its way with the model's object form."""
    model = schema().ModelT.InitFromPackedBuf(data, 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def options_of(table: str) -> tuple[int, Any]:
    """The code of an option table and a new one with the schema's defaults."""
    s = schema()
    return getattr(s.BuiltinOptions, table), getattr(s, f"{table}T")()
