"""C text: identifiers, comments, numbers and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgepack.errors import BadInput
from edgepack.ir import Array, DType

_LINE: Final = 98
_RESERVED: Final = """
    auto break case char const continue default do double else enum extern float for goto if
    inline int long register restrict return short signed sizeof static struct switch typedef
    union unsigned void volatile while _Bool _Complex _Imaginary  alignas alignof and and_eq asm
    bitand bitor bool catch char8_t char16_t char32_t class compl  concept consteval constexpr
    constinit const_cast co_await co_return co_yield decltype delete  dynamic_cast explicit export
    false friend mutable namespace new noexcept not not_eq nullptr  operator or or_eq private
    protected public reinterpret_cast requires static_assert  static_cast template this
    thread_local throw true try typeid typename using virtual wchar_t  xor xor_eq
"""  # by C, and by C++, whose sources include the header
KEYWORDS: Final = frozenset(_RESERVED.split())
CTYPES: Final = {
    DType.FLOAT32: "float", DType.INT32: "int32_t", DType.INT16: "int16_t", DType.INT8: "int8_t",
    DType.UINT8: "uint8_t", DType.BOOL: "uint8_t", DType.INT64: "int64_t", DType.INT4: "int8_t",
    DType.UINT16: "uint16_t", DType.UINT32: "uint32_t",
}  # fmt: skip


def require_identifier(name: str) -> str:
    """`name`, when C and C++ take it for a prefix; raises BadInput with the remedy otherwise."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in KEYWORDS:
        raise BadInput(
            f"the prefix {name!r} is no C identifier",
            hint=f"take letters, digits and underscores, such as {identifier(name)}",
        )
    return name


def identifier(name: str) -> str:
    """Some C identifier that resembles `name`."""
    word = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
    if not word or word[0].isdigit() or word in KEYWORDS:
        word = f"model_{word}".rstrip("_")
    return word


def comment(text: str, limit: int = 80) -> str:
    """`text` as it may stand inside a comment: one printable line that does not end it."""
    line = re.sub(r"[^ -~]+", "?", text).replace("*/", "* /").replace("/*", "/ *")
    line = line.replace("\\", "/").replace("??", "? ?")
    return line if len(line) <= limit else line[: limit - 3] + "..."


def number(value: Any) -> str:
    """A C constant: whole, or real with all the digits of a float."""
    if isinstance(value, (float, np.floating)):
        return real(float(value))
    whole = int(value)
    if whole == -(2**31):
        return "(-2147483647 - 1)"
    if whole == -(2**63):
        return "(-INT64_C(9223372036854775807) - 1)"
    return f"INT64_C({whole})" if abs(whole) >= 2**31 else str(whole)


def real(value: float) -> str:
    """A float constant that reads back as the same float32; infinities as a huge number."""
    single = np.float32(value)
    if np.isnan(single):
        return "(0.0F / 0.0F)"
    if np.isinf(single):
        return "1e39F" if single > 0 else "-1e39F"
    text = np.format_float_scientific(single, unique=True, trim="0", exp_digits=1)
    return f"{text}F"


def braces(values: Sequence[Any]) -> str:
    """A one-line initializer."""
    return "{" + ", ".join(number(v) for v in values) + "}"


def table(array: Array) -> str:
    """The body of an array's initializer, wrapped."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype == np.bool_:
        flat = flat.astype(np.uint8)
    if flat.dtype.kind in "iu" and flat.dtype.itemsize <= 2:
        words = list(map(str, flat.tolist()))
    else:
        words = [number(v) for v in flat]
    width = max((len(w) for w in words), default=1) + 2
    each = max(1, (_LINE - 4) // width)
    rows = (", ".join(words[i : i + each]) for i in range(0, len(words), each))
    return ",\n".join(f"    {row}" for row in rows)
