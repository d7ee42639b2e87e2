"""Quantization: ranges in, parameters on the values of a graph out."""
