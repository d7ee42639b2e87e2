"""onnx2tf: MODEL.onnx OUT_FOLDER; its TFLite backend of today."""

import json
import sys

import onnx2tf

onnx2tf.convert(
    input_onnx_file_path=sys.argv[1],
    output_folder_path=sys.argv[2],
    copy_onnx_input_output_names_to_tflite=True,
    non_verbose=True,
)
print(json.dumps({"out": sys.argv[2]}))
