"""Measure, print a table on stderr as it grows, and with --json one object on stdout.

python -m benchmarks [NAME ...] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator

from benchmarks.figures import Figure, show, versions
from benchmarks.places import Missing


def quality() -> Iterator[Figure]:
    from benchmarks.quality import quality

    return quality()


def networks() -> Iterator[Figure]:
    from benchmarks.networks import networks

    return networks()


def conversion() -> Iterator[Figure]:
    from benchmarks.conversion import conversion

    return conversion()


def latency() -> Iterator[Figure]:
    from benchmarks.conversion import latency

    return latency()


def arena() -> Iterator[Figure]:
    from benchmarks.arena import arena

    return arena()


def emulator() -> Iterator[Figure]:
    from benchmarks.emulator import emulator

    return emulator()


def nodes() -> Iterator[Figure]:
    from benchmarks.nodes import nodes

    return nodes()


def growth() -> Iterator[Figure]:
    from benchmarks.growth import growth

    return growth()


def startup() -> Iterator[Figure]:
    from benchmarks.startup import startup

    return startup()


def container() -> Iterator[Figure]:
    from benchmarks.container import container

    return container()


BENCHMARKS: dict[str, tuple[str, Callable[[], Iterator[Figure]]]] = {
    "quality": (
        "EfficientNet-Lite0 and small networks: accuracy, SQNR, agreement with float",
        quality,
    ),
    "networks": ("KWS, IC and ResNet-20: accuracy in int8", networks),
    "conversion": ("EfficientNet-Lite0: time and memory of conversions", conversion),
    "latency": ("EfficientNet-Lite0: int8 latency on this machine", latency),
    "arena": ("predicted arena beside that of TensorFlow Lite Micro on a Cortex-M4", arena),
    "emulator": ("the C export on an emulated Cortex-M4 and Cortex-M55", emulator),
    "nodes": ("ONNX backend node tests", nodes),
    "growth": ("time and memory against model size and number of samples", growth),
    "startup": ("help and import", startup),
    "container": ("our graph classes beside onnx_ir's", container),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=_list(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, []])
    parser.add_argument("--json", action="store_true", help="one object on stdout")
    options = parser.parse_args()
    found: dict[str, list[dict[str, object]]] = {}
    for name in options.names or BENCHMARKS:
        title, measure = BENCHMARKS[name]
        print(f"\n{name}: {title}", file=sys.stderr, flush=True)
        try:
            found[name] = [figure.to_dict() for figure in show(measure())]
        except Missing as problem:
            print(f"  skipped: {problem}", file=sys.stderr)
            found[name] = []
    if options.json:
        print(json.dumps({"versions": versions(), "benchmarks": found}, indent=2))
    else:
        print(
            "\nversions: " + ", ".join(f"{k} {v}" for k, v in versions().items()), file=sys.stderr
        )


def _list() -> str:
    return "\n".join(f"  {name:12} {title}" for name, (title, _) in BENCHMARKS.items())


if __name__ == "__main__":
    main()
