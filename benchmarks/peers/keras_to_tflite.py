"""TFLiteConverter, full-integer int8: MODEL.h5 CALIBRATION.npy OUT.tflite."""

import json
import sys

import numpy as np
import tensorflow as tf

source, data, out = sys.argv[1:4]
converter = tf.lite.TFLiteConverter.from_keras_model(
    tf.keras.models.load_model(source, compile=False)
)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: ([x[None]] for x in np.load(data))
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = converter.inference_output_type = tf.int8
with open(out, "wb") as file:
    file.write(converter.convert())
print(json.dumps({"out": out}))
