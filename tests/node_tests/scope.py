"""Which node tests are about models that edge devices run: their operators and types say so."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto

# Operators that put a test out of scope, by what they are for.
OUT_OF_SCOPE = {
    "training": "Adagrad Adam Momentum NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss",
    "text": "LabelEncoder RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer",
    "sequences": "SequenceAt SequenceConstruct SequenceEmpty SequenceInsert SequenceLength"
    " SequenceMap SplitToSequence",
    "optional values": "Optional OptionalGetElement OptionalHasElement",
    "control flow": "If Loop Scan",
    "signal processing": "BlackmanWindow DFT HammingWindow HannWindow MelWeightMatrix STFT",
    "random numbers": "Bernoulli RandomUniformLike",
    "trees and tables": "ArrayFeatureExtractor Binarizer TreeEnsemble",
    "servers": "AffineGrid Col2Im DeformConv Det ImageDecoder MaxUnpool RoiAlign Unique",
}
_REASONS = {op: reason for reason, ops in OUT_OF_SCOPE.items() for op in ops.split()}

_FOREIGN_TYPES = frozenset(
    getattr(TensorProto, name)
    for name in ("STRING", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2",
                 "FLOAT8E5M2FNUZ", "FLOAT8E8M0", "FLOAT4E2M1")
)  # fmt: skip
_NARROW_TYPES = frozenset(getattr(TensorProto, name) for name in ("INT4", "UINT4", "INT2", "UINT2"))


def out_of_scope(model: Any) -> str | None:
    """Why a test is none of ours; None when it is."""
    for node in model.graph.node:
        if node.op_type in _REASONS:
            return _REASONS[node.op_type]
    values = [*model.graph.input, *model.graph.output]
    if any(v.type.WhichOneof("value") != "tensor_type" for v in values):
        return "values that are no tensors"
    types = {v.type.tensor_type.elem_type for v in values}
    if types & _FOREIGN_TYPES:
        return "types that no runtime here computes with"
    casts = {node.op_type for node in model.graph.node} & {"Cast", "CastLike"}
    if types & _NARROW_TYPES and casts:
        return "casts to types below 8 bits"
    return None
