"""Measures edgepack beside its peers: `python -m benchmarks`, described in docs/benchmarks.md."""
