"""AI Edge Quantizer: FLOAT.tflite CALIBRATION.npy OUT.tflite [BITS of weights]."""

import json
import sys

import numpy as np


def quantize(real: str, data: str, out: str, bits: str = "8") -> None:
    """Static int8, calibrated on every sample of `data`; with 8 bits it is the stock recipe."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe_manager
    from ai_edge_quantizer.qtyping import TFLOperationName

    signatures = Interpreter(real).get_signature_list()
    (key,) = signatures
    (name,) = signatures[key]["inputs"]
    samples = [{name: np.array(x[None])} for x in np.load(data, mmap_mode="r")]
    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(
        regex=".*", operation_name=TFLOperationName.ALL_SUPPORTED, activation_num_bits=8,
        weight_num_bits=int(bits),
    )  # fmt: skip
    tool = quantizer.Quantizer(real, recipe.get_quantization_recipe())
    tool.quantize(tool.calibrate({key: samples})).export_model(out, overwrite=True)


if __name__ == "__main__":
    quantize(*sys.argv[1:5])
    print(json.dumps({"out": sys.argv[3]}))
