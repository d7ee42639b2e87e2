"""Runtimes behind one protocol: give arrays for the inputs, get arrays for the outputs."""
