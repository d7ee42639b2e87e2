"""The passes in their order.

`canonicalize` gives each computation one spelling and leaves BatchNorm as it is: a data-free
quantizer reads its statistics. `fuse` then merges operators into those that the runtimes run.
Both work on float graphs and on quantized ones, where only exact rewrites apply.
"""

from __future__ import annotations

from typing import Final

from edgepack.ir import Graph
from edgepack.passes.activations import fuse_activation, merge_clamps
from edgepack.passes.affine import decompose_batchnorm, fold_batchnorm, fold_scale
from edgepack.passes.channel_order import absorb_channel_shuffle, fold_channel_gather
from edgepack.passes.constants import deduplicate_constants, fold_constants
from edgepack.passes.dense import lift_reshape_over_bias, matmul_to_fully_connected
from edgepack.passes.duplicates import (
    cancel_splits,
    eliminate_common_subexpressions,
    merge_concats,
)
from edgepack.passes.identities import (
    drop_broadcasts,
    merge_pads,
    merge_reshapes,
    merge_transposes,
    remove_identities,
)
from edgepack.passes.manager import Pass, run_pass, run_to_fixpoint
from edgepack.passes.padding import fold_pad
from edgepack.passes.pooling import merge_means, pool_to_mean
from edgepack.passes.qdq import (
    cancel_quantize_pairs,
    fold_qdq,
    move_constants_under_dequantize,
    signed_instead_of_unsigned,
)
from edgepack.passes.recompose_activations import (
    recompose_gelu,
    recompose_hard_swish,
    recompose_leaky_relu,
    uniform_prelu_to_leaky_relu,
)
from edgepack.passes.recompose_normalizations import (
    divide_by_multiplying,
    fold_norm_parameters,
    recompose_batch_form,
    recompose_norms,
    recompose_softmax,
    simplify_powers,
)
from edgepack.passes.scaled_clamps import clip_to_relu6, fold_scale_through_product
from edgepack.passes.unit_reshapes import cancel_unit_reshapes

_QUANTIZED_SOURCE: Final[tuple[Pass, ...]] = (
    signed_instead_of_unsigned,
    move_constants_under_dequantize,
    merge_clamps,
    fuse_activation,  # so that a clamp before a Quantize is inside the operator that is folded
    eliminate_common_subexpressions,  # one Quantize for all readers of its result
    fold_qdq,
    cancel_quantize_pairs,
)

_CANONICAL: Final[tuple[Pass, ...]] = (
    fold_constants,  # first: what is constant decides what everything below may do
    remove_identities,
    merge_reshapes,
    merge_transposes,
    merge_pads,
    merge_concats,
    cancel_splits,
    drop_broadcasts,
    cancel_unit_reshapes,
    eliminate_common_subexpressions,  # before the recomposers: they need single readers
    merge_clamps,  # before the recomposers: they look for one spelling of a clamp
    pool_to_mean,
    merge_means,
    matmul_to_fully_connected,
    lift_reshape_over_bias,
    simplify_powers,
    divide_by_multiplying,
    recompose_hard_swish,
    recompose_gelu,
    recompose_leaky_relu,
    uniform_prelu_to_leaky_relu,
    recompose_softmax,
    recompose_batch_form,
    recompose_norms,
    fold_norm_parameters,  # after recompose_norms, which makes what it folds into
)

_FUSING: Final[tuple[Pass, ...]] = (
    fold_batchnorm,  # before fold_scale: a scale between the two may then follow
    fold_scale,
    clip_to_relu6,  # after both: it needs the layer's own output
    fold_scale_through_product,
    fold_channel_gather,
    absorb_channel_shuffle,
    fold_pad,  # after fold_scale: a layer that pads by itself takes no shift from before it
    fuse_activation,  # last: the folds above decline after an activation
)


def canonicalize(graph: Graph) -> int:
    """One spelling for each computation, BatchNorm kept; return the number of rewrites."""
    count = 0
    if graph.nodes_of("Dequantize"):
        # before constant folding, which would dequantize the weights
        count = run_to_fixpoint(graph, _QUANTIZED_SOURCE)
    return count + run_to_fixpoint(graph, _CANONICAL)


def fuse(graph: Graph) -> int:
    """BatchNorm, scales, padding and activations into the layers; return the number of rewrites."""
    total = run_to_fixpoint(graph, _FUSING)
    total += run_pass(graph, decompose_batchnorm)  # what no layer took
    total += run_to_fixpoint(graph, (fuse_activation, remove_identities))
    return total + run_pass(graph, deduplicate_constants)


def optimize(graph: Graph) -> int:
    """`canonicalize` and `fuse` by turns until neither finds anything; return the rewrites."""
    return run_to_fixpoint(graph, (canonicalize, fuse))
