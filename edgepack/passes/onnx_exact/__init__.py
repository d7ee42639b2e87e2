"""Quantized graphs as graphs of plain whole numbers, whose every bit the ONNX standard fixes."""

from edgepack.passes.onnx_exact.spell import spell_exactly

__all__ = ["spell_exactly"]
