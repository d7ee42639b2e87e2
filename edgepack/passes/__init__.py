"""Passes: graph in, number of rewrites out. `edgepack.passes.manager` runs and checks them."""
