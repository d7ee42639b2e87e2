"""What lowering makes, and the file of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import edgepack
from edgepack.api.options import ExportOptions
from edgepack.data import Samples, load_samples
from edgepack.ir import Graph
from edgepack.passes.manager import run_pass
from edgepack.passes.tflite.flatten import flatten_into_dense
from edgepack.quantize.mixed import NoiseTable
from edgepack.report import Quantization
from edgepack.validation.interface import Interface, Side
from edgepack.writers.tflite import write_tflite

DEFAULT_SAMPLES = 100  # of calibration data, spread over all there is


@dataclass(frozen=True, slots=True)
class Lowered:
    """`real` is the float graph as legalized, `graph` what goes to TFLite (the same when float).

    `portable` is what goes to ONNX: the same integers where quantized (but biases beside 4-bit
    weights, see `quantize.rounding`), else the graph before it was legalized for TFLite.
    `samples` are the calibration data in the source's layout, for measuring; `methods` says how
    the range of each value was chosen, `reasons` why a node has its precision where there is more
    to say than the scheme. `output_sqnr_db` and `noise` are measured for mixed precision
    only.
    `onnx` is the layout of ONNX files: the source's, or the graph's as in TFLite files. `warnings`
    and `notes` are for the report. `original` is the float graph before compression, legalized;
    None when nothing was compressed. `whole` is `graph` before it was made a stream, None unless it
    was.
    """

    real: Graph | None
    graph: Graph
    portable: Graph
    quantization: Quantization
    samples: Samples | None = None
    methods: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    onnx: Side = "source"
    reasons: Mapping[str, str] = field(default_factory=dict)
    output_sqnr_db: float | None = None
    noise: NoiseTable | None = None
    original: Graph | None = None
    whole: Graph | None = None

    @property
    def interface(self) -> Interface:
        """What the exported files take and give."""
        return Interface.of(self.graph, self.onnx)


def tflite_file(graph: Graph, *, packed: bool = True) -> bytes:
    """The TFLite file of a lowered graph; `graph` is not changed.

    Without `packed` no constant is stored in a form that only TensorFlow Lite Micro unpacks.
    """
    final = graph.copy()
    run_pass(final, flatten_into_dense)  # here and not before: ONNX takes the graph without it
    return write_tflite(final, f"edgepack {edgepack.__version__}", packed=packed)


def io_of(graph: Graph) -> str:
    """What the model takes: the type of its integer inputs (int8, uint8, int16), else float."""
    if not graph.inputs or not all(v.quant for v in graph.inputs):
        return "float"
    return str(graph.inputs[0].dtype)


def calibration_samples(graph: Graph, options: ExportOptions) -> Samples | None:
    """What `--calibration` gives, as the graph's inputs want it; None without it."""
    if options.calibration is None:
        return None
    specs = Interface.of(graph).specs(options.span())
    limit = options.samples or DEFAULT_SAMPLES
    return load_samples(options.calibration, specs, preprocess=options.preprocess, limit=limit)
