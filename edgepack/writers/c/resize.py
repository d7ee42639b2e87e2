"""Bilinear resizing; the nearest element is a matter of moving."""

from __future__ import annotations

import numpy as np

from edgepack.ir import DType, Node
from edgepack.kernels.quantized_convolution import bilinear_places
from edgepack.writers.c.builder import CBuilder, all_of, lowers, refuse_unless
from edgepack.writers.c.elementwise import suffix


@lowers("ResizeBilinear")
def resize_bilinear(node: Node, out: CBuilder) -> None:
    """Places and distances of each row and column by tables."""
    x, y = node.input(0), node.output
    refuse_unless(all_of(node, DType.INT8) or all_of(node, DType.INT16), f"{x.dtype} input")
    down, along = (
        np.stack(bilinear_places(node, dim, x.shape[1 + dim]), axis=1).astype(np.int32)
        for dim in range(2)
    )
    params = out.struct(
        "ep_resize_t",
        down=out.table(down, f"{node.name}: rows"), along=out.table(along, f"{node.name}: columns"),
        batches=x.shape[0], in_h=x.shape[1], in_w=x.shape[2], channels=x.shape[3],
        out_h=y.shape[1], out_w=y.shape[2],
    )  # fmt: skip
    out.call(f"ep_bilinear{suffix(x)}", params, out.at(x), out.at(y))
