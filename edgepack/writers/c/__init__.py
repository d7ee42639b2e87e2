"""The C writer."""

from edgepack.writers.c.write import write_c

__all__ = ["write_c"]
