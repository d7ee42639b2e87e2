"""Writes docs/operators.md from the tables in the code.

python docs/generate.py            # write it
python docs/generate.py --check    # fail when it is out of date
"""

import sys
from pathlib import Path

from edgepack.ir import OPS
from edgepack.kernels.registry import QUANTIZED
from edgepack.passes import legalize_tflite  # noqa: F401 (registers the rules)
from edgepack.passes.tflite.rules import ALTERNATIVES, RULES
from edgepack.readers import onnx, tensorflow, tflite, torch  # noqa: F401 (register)
from edgepack.readers.onnx.registry import READS as ONNX
from edgepack.readers.tensorflow.registry import READS as TENSORFLOW
from edgepack.readers.tflite.registry import ROWS as TFLITE
from edgepack.readers.torch.registry import READS as TORCH
from edgepack.writers.onnx import write  # noqa: F401 (registers)
from edgepack.writers.onnx.builder import lowers as onnx_lowers
from edgepack.writers.tflite.builder import lowers as tflite_lowers

PAGE = Path(__file__).with_name("operators.md")

HEAD = """# Supported operators

This page is generated: `make docs`.

## What edgepack computes with

Every operator of a source model becomes one or several of these. *int8*: whether quantization can
make it an integer operator. *TFLite* and *ONNX*: written as one operator (yes), or spelled out in
others (composed).

| operator | what it does | int8 | TFLite | ONNX |
| --- | --- | --- | --- | --- |
"""


def main() -> None:
    """Write the page, or check that it is as it would be written."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        sys.exit(f"{PAGE} is out of date: run `make docs`")


def page() -> str:
    """The page's text."""
    rows = "".join(_row(op) for op in OPS)
    sections = {
        "ONNX operators that are read": ONNX,
        "TensorFlow operators that are read (SavedModel, Keras)": TENSORFLOW,
        "TFLite operators that are read": TFLITE,
        "PyTorch operators that are read": TORCH,
    }
    notes = {
        "ONNX operators that are read": "Those that ONNX itself defines by others are read too.",
    }
    parts = [HEAD + rows]
    for title, table in sections.items():
        names = ", ".join(f"`{name}`" for name in sorted(table))
        note = notes.get(title, "")
        parts.append(f"## {title}\n\n{len(table)}: {names}\n" + (f"\n{note}\n" if note else ""))
    return "\n".join(parts)


def _row(op: str) -> str:
    entry = OPS[op]
    integer = "yes" if op in QUANTIZED or entry.quant.output in ("same", "integer") else "-"
    tflite_form = _form(op in tflite_lowers.table, op in RULES or op in ALTERNATIVES)
    onnx_form = _form(op in onnx_lowers.table, True)
    doc = entry.doc.replace("|", "\\|")
    return f"| {op} | {doc} | {integer} | {tflite_form} | {onnx_form} |\n"


def _form(direct: bool, composed: bool) -> str:
    return "yes" if direct else "composed" if composed else "-"


if __name__ == "__main__":
    main()
