"""What brings a canonical graph into the form of ONNX, one module per theme."""
