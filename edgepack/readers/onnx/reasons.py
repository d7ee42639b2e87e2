"""Why an operator has no translation, and what its user can do."""

from __future__ import annotations

from typing import Any

from edgepack.readers.emitter import Refused

_DATA_DEPENDENT = (
    "the shape of its result depends on the values of its input",
    "end the model before it and do the rest in the application",
)
_LOOP = ("loops have no equivalent", "unroll it when exporting")
_RANDOM = ("random numbers have no place in an exported model", "export in evaluation mode")
_SEQUENCE = ("sequences of tensors have no equivalent", "export with plain tensors")
_TEXT = ("text is not computed on devices", "do this step in the application")

_REASONS = {
    **dict.fromkeys(("NonMaxSuppression", "NonZero", "Unique"), _DATA_DEPENDENT),
    **dict.fromkeys(("Loop", "Scan"), _LOOP),
    **dict.fromkeys(
        ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
         "RandomUniformLike"), _RANDOM,
    ),
    **dict.fromkeys(
        ("ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
         "SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence", "Optional",
         "OptionalGetElement", "OptionalHasElement"), _SEQUENCE,
    ),
    **dict.fromkeys(("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit",
                     "TfIdfVectorizer"), _TEXT),
}  # fmt: skip


def why_not(node: Any) -> Refused:
    """What to say of a node for whose operator there is no reading function."""
    if node.domain not in ("", "ai.onnx"):
        return Refused(
            f"unknown operator of domain {node.domain}",
            "replace it, or export without custom operators",
        )
    reason, hint = _REASONS.get(node.op_type, ("unknown operator", "replace it by simpler ones"))
    return Refused(reason, hint)
