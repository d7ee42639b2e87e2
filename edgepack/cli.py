"""The command line: parse, call the API, print."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from edgepack import __version__
from edgepack.errors import BadInput, EdgepackError, InternalError
from edgepack.help_page import Grouped

app = typer.Typer(
    help="From a trained model to the edge: quantize, export, check that it fits, prove it right.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

BAD_INPUT, NOT_MET, DONE = 2, 1, 0


def _target_ids(incomplete: str) -> list[str]:
    """What the shell completes `--target` with."""
    from edgepack.profiles import target_ids

    return [name for name in target_ids() if name.startswith(incomplete)]


def _schemes(incomplete: str) -> list[str]:
    """What the shell completes `--quantize` with."""
    from edgepack.quantize.options import SCHEMES

    return [name for name in SCHEMES if name.startswith(incomplete)]


Model = Annotated[
    str,
    typer.Argument(
        help=".onnx, .tflite, .h5, .keras, .pt2, a SavedModel folder, or file.py:factory",
        show_default=False,
    ),
]
TargetId = Annotated[
    str,
    typer.Option(
        "--target",
        help="a device id (`edgepack targets`) or a profile's .toml",
        autocompletion=_target_ids,
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(help="fixes input sizes: 1,3,224,224 or name:1,3,224,224;other:1,10"),
]
Weights = Annotated[str | None, typer.Option(help="a state dict for file.py:factory")]
Trust = Annotated[
    bool, typer.Option("--trust", help="let the model file run code (pickles, Lambda layers)")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="print one JSON object on stdout and nothing else")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="print only errors")]
Quantize = Annotated[
    str,
    typer.Option(
        autocompletion=_schemes,
        help="auto, none, int8, int16x8, w4a8, mixed, dynamic, dynamic4, blockwise4, fp16, bf16",
    ),
]
Optimize = Annotated[
    str, typer.Option(help="what C kernels and their memory are chosen for: speed, ram, flash")
]
PerTensor = Annotated[
    bool, typer.Option("--per-tensor", help="one scale for all channels of a weight")
]
IoType = Annotated[str | None, typer.Option("--io", help="int8, uint8 or float inputs and outputs")]
InputLayout = Annotated[str | None, typer.Option(help="nhwc, nchw or keep")]
Data = Annotated[
    str | None,
    typer.Option(help=".npz (x, y), .npy, a folder of images, or module:generator"),
]
InputRange = Annotated[
    str | None, typer.Option(help="LO,HI that the inputs span, when no data says so")
]
Preprocess = Annotated[
    str | None, typer.Option(help='"mean=127,std=128", or a spec such as imagenet-torch')
]
MinAccuracy = Annotated[
    float | None, typer.Option(help="0 to 1; exits with 1 below it; mixed keeps it")
]
MaxDrop = Annotated[
    float | None,
    typer.Option(help="largest loss against float, 0 to 1; exits with 1 above; mixed keeps it"),
]
Threads = Annotated[int, typer.Option(help="threads for runs on this machine")]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="tell what each pass does")] = False,
) -> None:
    """Set what all commands share."""
    if version:
        print(f"edgepack {__version__}")
        raise typer.Exit
    if not verbose and not sys.warnoptions:
        warnings.simplefilter("ignore")  # frameworks warn their own developers
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(name)s: %(message)s",
    )


@app.command()
def targets(
    target: Annotated[
        str | None, typer.Argument(help="show this one in full", autocompletion=_target_ids)
    ] = None,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="print the profile's file, to copy and change")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List the device profiles, or show one in full."""
    from edgepack import terminal
    from edgepack.profiles import list_targets, load_target, target_path

    if as_toml:
        if target is None or as_json:
            raise BadInput("--toml goes with a target's id and without --json")
        print(target_path(target).read_text(encoding="utf-8"), end="")
    elif target is None:
        found = list_targets()
        rows = {"targets": [terminal.target_row(t) for t in found]}
        _show(as_json, quiet, rows, lambda: terminal.target_list(found))
    else:
        profile = load_target(target)
        full = terminal.target_dict(profile)
        _show(as_json, quiet, full, lambda: terminal.target_page(profile))


@app.command()
def inspect(
    model: Model,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity", help="measure what quantizing each layer alone does to the output"
        ),
    ] = False,
    target: Annotated[
        str | None, typer.Option(help="whose kernels --sensitivity reckons with (default: LiteRT)")
    ] = None,
    calibration: Data = None,
    samples: Annotated[int | None, typer.Option(help="calibration samples (default 100)")] = None,
    preprocess: Preprocess = None,
    input_range: InputRange = None,
    per_tensor: PerTensor = False,
    input_layout: InputLayout = None,
    input_shape: Shape = None,
    weights: Weights = None,
    trust: Trust = False,
    threads: Threads = 2,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show operators, MACs, parameters and layers of a model."""
    from edgepack import api, terminal

    found = api.inspect(
        model, sensitivity=sensitivity, target=target, calibration=calibration,
        samples=samples, threads=threads, preprocess=preprocess, input_range=input_range,
        per_tensor=per_tensor,
        input_layout=input_layout, input_shape=input_shape, weights=weights, trust=trust,
    )  # fmt: skip
    _show(as_json, quiet, found.to_dict(), lambda: terminal.inspection(found))


@app.command()
def check(
    model: Model,
    target: TargetId,
    formats: Annotated[
        str | None,
        typer.Option(help="c: as a C project (default: what the target's runtime takes)"),
    ] = None,
    optimize: Optimize = "speed",
    quantize: Quantize = "auto",
    per_tensor: PerTensor = False,
    io: IoType = None,
    input_layout: InputLayout = None,
    input_shape: Shape = None,
    weights: Weights = None,
    trust: Trust = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say whether a model fits a device."""
    from edgepack import api

    report = api.check(
        model, target, formats=formats, optimize=optimize, quantize=quantize,
        per_tensor=per_tensor, io=io, input_layout=input_layout, input_shape=input_shape,
        weights=weights, trust=trust,
    )  # fmt: skip
    _finish(report, as_json, quiet)


@app.command(cls=Grouped)
def export(
    model: Model,
    target: TargetId,
    out: Annotated[Path, typer.Option(help="folder to write; an earlier export is replaced")],
    formats: Annotated[
        str | None, typer.Option(help="tflite,onnx,c (default: what the target's runtime takes)")
    ] = None,
    quantize: Quantize = "auto",
    calibration: Data = None,
    data_free: Annotated[
        bool, typer.Option("--data-free", help="quantize without calibration data")
    ] = False,
    input_range: InputRange = None,
    samples: Annotated[int | None, typer.Option(help="calibration samples (default 100)")] = None,
    per_tensor: PerTensor = False,
    range_method: Annotated[
        str, typer.Option(help="ranges of activations: auto, min-max, percentile, kl, mse or octav")
    ] = "auto",
    effort: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=3,
            help="0 closed form, 1 GPTQ-like, 2 AdaRound (4-bit weights), 3 scales (torch); "
            "0 unless there are no data and --per-tensor or w4a8 is asked for: then 1",
        ),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="NAME=w4a8, int8, int16x8 or float, for one layer; may be repeated"),
    ] = None,
    max_flash: Annotated[
        str | None, typer.Option(help="what --quantize mixed may take of flash: 300000, 256KB")
    ] = None,
    min_sqnr: Annotated[
        float | None, typer.Option(help="dB of the output that --quantize mixed must keep")
    ] = None,
    io: IoType = None,
    input_layout: InputLayout = None,
    preprocess: Preprocess = None,
    eval_data: Annotated[
        str | None, typer.Option("--eval", help="labelled data to measure accuracy on")
    ] = None,
    min_accuracy: MinAccuracy = None,
    max_drop: MaxDrop = None,
    allow_misfit: Annotated[
        bool, typer.Option("--allow-misfit", help="export even if it does not fit or run there")
    ] = False,
    onnx_exact: Annotated[
        bool,
        typer.Option(
            "--onnx-exact", help="ONNX in plain integer operators, with TFLite Micro's bits; slow"
        ),
    ] = False,
    prune: Annotated[
        float | None,
        typer.Option(help="remove channels until this share of the MACs is gone, 0 to 1"),
    ] = None,
    factorize: Annotated[
        float | None,
        typer.Option(help="split layers in two until this share of the weights is gone, 0 to 1"),
    ] = None,
    cluster: Annotated[
        int | None,
        typer.Option(help="few values for weights: 1 to 7 bits of index (TFLite Micro unpacks)"),
    ] = None,
    compress: Annotated[
        list[str] | None,
        typer.Option(help="a step such as prune,ratio=0.3,criterion=l1; may be repeated"),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="a .toml with any of these options and [[compress]] steps")
    ] = None,
    optimize: Optimize = "speed",
    prefix: Annotated[str, typer.Option(help="of all names and files of the C project")] = "model",
    input_shape: Shape = None,
    weights: Weights = None,
    trust: Trust = False,
    seed: Annotated[int, typer.Option(help="of everything random")] = 0,
    threads: Threads = 2,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Quantize, export for a device and measure."""
    from edgepack import api
    from edgepack.terminal import progress_bar

    with progress_bar(quiet):
        report = api.export(
            model, target, out, formats=formats, quantize=quantize, calibration=calibration,
            data_free=data_free, input_range=input_range, samples=samples, per_tensor=per_tensor,
            range_method=range_method, effort=effort, layer=layer, max_flash=max_flash,
            min_sqnr=min_sqnr, io=io, input_layout=input_layout, preprocess=preprocess,
            eval=eval_data, min_accuracy=min_accuracy, max_drop=max_drop, allow_misfit=allow_misfit,
            onnx_exact=onnx_exact, optimize=optimize, prefix=prefix, prune=prune,
            factorize=factorize, cluster=cluster, compress=compress, recipe=recipe,
            input_shape=input_shape, weights=weights, trust=trust, seed=seed, threads=threads,
        )  # fmt: skip
    _finish(report, as_json, quiet, out)


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(help="what `edgepack export` wrote")],
    data: Data = None,
    on: Annotated[
        str,
        typer.Option(
            help="where to run: host, or emulator[:gcc|zig][+unicorn|qemu], the C export on an "
            "emulated microcontroller"
        ),
    ] = "host",
    preprocess: Preprocess = None,
    input_range: Annotated[
        str | None, typer.Option(help="LO,HI that the data should span; far from it is refused")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="how many samples (default: all)")] = None,
    min_accuracy: MinAccuracy = None,
    max_drop: MaxDrop = None,
    threads: Threads = 2,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run an exported folder: accuracy, agreement, latency."""
    from edgepack import api

    report = api.validate(
        folder, data, on, preprocess=preprocess, input_range=input_range, samples=samples,
        min_accuracy=min_accuracy, max_drop=max_drop, threads=threads,
    )  # fmt: skip
    _finish(report, as_json, quiet, folder)


@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(help="what `edgepack export` wrote, or a file of `check --json`")
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format", help="html (written to DIR/report.html), or md, json, junit on stdout"
        ),
    ] = "html",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write DIR/report.html anew from DIR/report.json, or print the report for CI."""
    from edgepack import api
    from edgepack.report.formats import TEXTS

    if form == "html":
        found, page = api.rewrite_page(folder)
        _show(as_json, quiet, found.to_dict(), lambda: print(page))
        return
    if form not in TEXTS:
        raise BadInput(f"--format is one of html, {', '.join(TEXTS)}; not {form!r}")
    if as_json and form != "json":
        raise BadInput(f"--json and --format {form} exclude each other")
    print(TEXTS[form](api.load_report(folder)), end="")


@app.command()
def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(help="two or more that `edgepack export` wrote, or files of `check --json`"),
    ],
    out: Annotated[Path, typer.Option(help="the page to write")] = Path("comparison.html"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Put exports side by side: a table here, charts on a page."""
    from edgepack import api, terminal

    found = api.compare(*folders, out=out)
    _show(as_json, quiet, found.to_dict(), lambda: terminal.comparison_table(found, out))


def _show(as_json: bool, quiet: bool, data: Any, draw: Callable[[], None]) -> None:
    if as_json:
        print(json.dumps(data, indent=2))
    elif not quiet:
        draw()


def _finish(report: Any, as_json: bool, quiet: bool, folder: Path | None = None) -> None:
    from edgepack import terminal

    _show(as_json, quiet, report.to_dict(), lambda: terminal.report_table(report, folder))
    raise typer.Exit(DONE if report.ok else NOT_MET)


class _Stopped(BaseException):
    """Ctrl-C or a request to terminate; no handler of ordinary errors takes it for one."""


def main() -> None:
    """Run the command line; every failure is one message on stderr and exit code 2.

    With `--json` the message is also the object on stdout.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        _run()
    except EdgepackError as problem:
        _fail(problem)
    except _Stopped:
        _fail(BadInput("interrupted; nothing was written"))
    except MemoryError:
        _fail(BadInput("out of memory", hint="fewer --samples, or a machine with more memory"))
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        _fail(BadInput(f"{where}{problem.strerror or problem}"))
    except Exception as problem:  # a defect of ours: still one message, the traceback on request
        if os.environ.get("EDGEPACK_DEBUG"):
            raise
        _fail(
            InternalError(
                f"internal error: {type(problem).__name__}: {problem}",
                hint="a defect in edgepack: EDGEPACK_DEBUG=1 shows the traceback to report",
            )
        )


def _run() -> None:
    try:
        app(prog_name="edgepack")
    finally:
        sys.stdout.flush()  # a full disk shows here, not when Python ends


def _stop(*_: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # cleaning up is not to be stopped
        signal.signal(number, signal.SIG_IGN)
    raise _Stopped


def _fail(problem: EdgepackError) -> None:
    print(f"edgepack: {problem}", file=sys.stderr)
    try:
        if "--json" in sys.argv:
            print(json.dumps(problem.to_dict(), indent=2))
        sys.stdout.flush()
    except OSError:  # stdout is what failed: nothing more may go there, not even when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(BAD_INPUT)
