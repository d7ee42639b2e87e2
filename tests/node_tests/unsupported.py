"""The node tests that are in scope and not right, with the reason; nothing else may fail."""

from __future__ import annotations

_DATA_DEPENDENT = "the shape of its result depends on the values of its input"
_NEWER_MEANING = "what the mode puts out was defined anew after the data was made"
_WRAPS = "the data wraps around where the operator saturates"
_TRAINING = "in training mode it drops elements at random"


def _test(reason: str, names: str) -> dict[str, str]:
    return {f"test_{name}": reason for name in names.split()}


EVERYWHERE = {
    **_test(_DATA_DEPENDENT, """
        blackmanwindow_expanded blackmanwindow_symmetric_expanded
        hammingwindow_expanded hammingwindow_symmetric_expanded
        hannwindow_expanded hannwindow_symmetric_expanded
        nonmaxsuppression_center_point_box_format nonmaxsuppression_flipped_coordinates
        nonmaxsuppression_identical_boxes nonmaxsuppression_limit_output_size
        nonmaxsuppression_single_box nonmaxsuppression_suppress_by_IOU
        nonmaxsuppression_suppress_by_IOU_and_scores nonmaxsuppression_two_batches
        nonmaxsuppression_two_classes nonzero_example
    """),
    **_test(_NEWER_MEANING, """
        attention_3d_with_past_and_present_qk_matmul_bias
        attention_3d_with_past_and_present_qk_matmul_softcap
        attention_4d_with_past_and_present_qk_matmul_bias
        attention_4d_with_past_and_present_qk_matmul_bias_3d_mask
        attention_4d_with_past_and_present_qk_matmul_bias_3d_mask_causal
        attention_4d_with_past_and_present_qk_matmul_bias_4d_mask
        attention_4d_with_past_and_present_qk_matmul_bias_4d_mask_causal
        attention_4d_with_qk_matmul_bias attention_4d_with_qk_matmul_softcap
    """),
    **_test(_WRAPS, """
        qlinearmatmul_2D_int8_float16 qlinearmatmul_2D_int8_float32
        qlinearmatmul_3D_int8_float16 qlinearmatmul_3D_int8_float32
    """),
    **_test(_TRAINING, """
        training_dropout training_dropout_default training_dropout_default_mask
        training_dropout_mask
    """),
    **_test("the data is 0 / 0 for a vector of zeros, which we leave zero as ONNX Runtime does",
            "l2normalization_axis_0"),
}  # fmt: skip

BY_ROUTE: dict[str, dict[str, str]] = {
    "reference": {},
    "tflite": {},
    "onnx": {},
}  # fmt: skip


def unsupported(route: str) -> dict[str, str]:
    return {**EVERYWHERE, **BY_ROUTE[route]}
