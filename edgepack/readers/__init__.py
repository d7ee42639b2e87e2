"""Readers: a model file in, a graph out."""
