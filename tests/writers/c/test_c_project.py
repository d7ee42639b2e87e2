"""The project as a whole: its contract, other compilers, prefixes, C++, the files around it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import BadInput, Unsupported
from edgepack.ir import Graph
from edgepack.ir.text import parse
from edgepack.run.emulator import firmware
from edgepack.run.reference import ReferenceRuntime
from edgepack.writers.c import write_c
from edgepack.writers.c.sources import blocks, kernel_files
from edgepack.writers.c.variants import VARIANTS
from tests.quantized_op_cases import QUANTIZED_CASES
from tests.writers.c.compiled import (
    STRICT,
    Library,
    compiler,
    compilers,
    run_compiler,
    sources,
    write_files,
)

TEXT = """
x: int8[1, 6, 5, 3] @ q(0.05, -3) = input()
w: int8[4, 3, 3, 3] @ q([0.01, 0.02, 0.03, 0.015], axis=0) = random()
b: int32[4] @ q([0.0005, 0.001, 0.0015, 0.00075], axis=0) = random()
c: q(0.06, -128) = Conv2d(x, w, b, pad=((1, 1), (1, 1)), activation="relu")
v: int8[1, 3, 3, 4] @ q([0.01, 0.02, 0.03, 0.015], axis=3) = random()
d: q(0.06, 4) = DepthwiseConv2d(c, v)
p: q(0.06, 4) = AveragePool2d(d, kernel=(4, 3))
r: q(0.06, 4) = Reshape(p, shape=(1, 4))
y: q(0.00390625, -128) = Softmax(r)
output(y)
"""


def graph() -> Graph:
    return parse(TEXT)


def one_input() -> np.ndarray:
    return np.random.default_rng(0).integers(-128, 128, (1, 6, 5, 3), np.int8)


def test_the_contract_of_the_header() -> None:
    header = write_c(graph())["model.h"]
    for line in (
        r"#define MODEL_ARENA_BYTES \d+U",
        r"#define MODEL_INPUT_COUNT 1U",
        r"#define MODEL_INPUT0_BYTES 90U",
        r"#define MODEL_INPUT0_SCALE 5.0?e-2F",
        r"#define MODEL_INPUT0_ZERO_POINT \(-3\)",
        r"#define MODEL_INPUT0_SHAPE {1, 6, 5, 3}",
        r"#define MODEL_OUTPUT_COUNT 1U",
        r"#define MODEL_OUTPUT0_BYTES 4U",
        r"void \*model_input\(unsigned index\);",
        r"int model_run\(void\);",
        r"const void \*model_output\(unsigned index\);",
    ):
        assert re.search(rf"^{line}$", header, re.MULTILINE), line


def test_equal_graphs_give_equal_text() -> None:
    assert write_c(graph()) == write_c(graph())


def test_only_memory_functions_are_called() -> None:
    text = "".join(
        t for n, t in write_c(graph()).items() if "/" not in n and n.endswith((".c", ".h"))
    )
    assert set(re.findall(r"#include <(.*)>", text)) == {"stddef.h", "stdint.h", "string.h"}
    assert not re.search(r"\b(malloc|free|printf|memmove|exp|sqrt|double)\b", text.split("/*")[0])


@pytest.mark.parametrize("name", compilers())
def test_strictly_clean(name: str, tmp_path: Path) -> None:
    files = write_c(graph())
    write_files(tmp_path, files)
    for level in ("-Os", "-O3"):
        run_compiler([*compilers()[name], *STRICT, level, "-I.", "-c", *sources(files)], tmp_path)


def write_all_kernels(folder: Path, variant: str) -> None:
    """kernels.c and kernels.h with all there are."""
    declared, defined = kernel_files(blocks(variant), variant)
    text = "#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n"
    (folder / "kernels.h").write_text(text + declared)
    (folder / "kernels.c").write_text('#include "kernels.h"\n' + defined)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", compilers())
def test_all_kernels_are_strictly_clean(name: str, variant: str, tmp_path: Path) -> None:
    write_all_kernels(tmp_path, variant)
    run_compiler([*compilers()[name], *STRICT, "-O2", "-c", "kernels.c"], tmp_path)


VARIANT_OF = {"cortex_m0plus": "portable", "cortex_m4": "dsp", "cortex_m55": "mve"}


@pytest.mark.slow
@pytest.mark.parametrize("core", VARIANT_OF)
def test_nothing_but_memory_functions_is_called(core: str, tmp_path: Path) -> None:
    if "zig" not in compilers():
        pytest.skip("ziglang is not installed")
    write_all_kernels(tmp_path, VARIANT_OF[core])
    target = ["-target", "thumb-freestanding-eabi", f"-mcpu={core}", "-O2", "-ffreestanding"]
    include = str(Path(firmware.__file__).parent / "firmware" / "include")
    command = [*compilers()["zig"], *target, "-std=c99", "-I", include, "-c", "kernels.c"]
    run_compiler(command, tmp_path)
    content = (tmp_path / "kernels.o").read_bytes()
    names = set(
        re.findall(rb"\0(mem(?:cpy|set|move|cmp)|malloc|expf|sqrtf|roundf|printf)(?=\0)", content)
    )
    assert names == {b"memcpy", b"memset"}


def test_two_models_in_one_firmware(tmp_path: Path) -> None:
    other = parse(TEXT.replace("q(0.06, -128)", "q(0.07, -128)"))
    both = {"kws": graph(), "Vww2": other}
    projects = {name: write_c(g, prefix=name) for name, g in both.items()}
    names = [name for files in projects.values() for name in sources(files)]
    assert len(set(names)) == len(names)
    library = Library(tmp_path, projects)
    for name, g in both.items():
        (got,) = library.run(name, g, [one_input()])
        np.testing.assert_array_equal(got, ReferenceRuntime(g).run([one_input()])[0])


@pytest.mark.parametrize("prefix", ["", "2nd", "my-model", "int", "class", "é", "a b", "_x"])
def test_prefixes_that_are_no_identifiers(prefix: str) -> None:
    with pytest.raises(BadInput, match="identifier"):
        write_c(graph(), prefix=prefix)


def test_every_operator_without_a_kernel_is_listed() -> None:
    strange = parse(
        "x: float32[2, 3] = input()\na = CumSum(x, axis=1)\nb = Erf(a)\ny = Sin(b)\noutput(y)"
    )
    with pytest.raises(Unsupported) as caught:
        write_c(strange)
    assert [f.op for f in caught.value.findings] == ["CumSum", "Erf", "Sin"]


def test_names_do_not_break_comments(tmp_path: Path) -> None:
    g = graph()
    for index, node in enumerate(g.nodes):
        node.name = ["a */ b", "a /* b", 'c "\\', "é\n#error", "??/"][index % 5]
    write_files(tmp_path, files := write_c(g))
    run_compiler([*compiler(), *STRICT, "-I.", "-c", *sources(files)], tmp_path)


def test_an_arena_of_the_application(tmp_path: Path) -> None:
    write_files(tmp_path, files := write_c(graph()))
    (tmp_path / "app.c").write_text(
        '#include <stdint.h>\n#include "model.h"\n'
        "static MODEL_ALIGNED uint8_t memory[MODEL_ARENA_BYTES + 16];\n"
        "extern uint8_t model_arena[MODEL_ARENA_BYTES];\n"
        "MODEL_ALIGNED uint8_t model_arena[MODEL_ARENA_BYTES];\n"
        "int main(void) { memory[0] = 0; return model_run(); }\n"
    )
    run_compiler(
        [*compiler(), *STRICT, "-DMODEL_ARENA_EXTERNAL", "-I.", "app.c", *sources(files), "-o",
         "app"], tmp_path)  # fmt: skip
    assert subprocess.run([tmp_path / "app"], check=False).returncode == 0


def test_from_cpp(tmp_path: Path) -> None:
    write_files(tmp_path, write_c(graph()))
    (tmp_path / "app.cpp").write_text('#include "model.h"\nint main() { return model_run(); }\n')
    command = [c.replace("gcc", "g++") for c in compiler()]
    command = ["c++" if c == "cc" and len(command) > 1 else c for c in command]
    if not shutil.which(command[0]):
        pytest.skip("there is no C++ compiler")
    run_compiler([*command, "-Wall", "-Wextra", "-Werror", "-c", "app.cpp"], tmp_path)


def test_a_call_before_each_node(tmp_path: Path) -> None:
    write_files(tmp_path, files := write_c(graph()))
    (tmp_path / "app.c").write_text(
        '#include <stdio.h>\n#include "model.h"\nvoid model_profile(unsigned node);\n'
        'void model_profile(unsigned node) { printf("%u ", node); }\n'
        "int main(void) { return model_run(); }\n"
    )
    run_compiler(
        [*compiler(), *STRICT, "-DMODEL_PROFILE", "-I.", "app.c", *sources(files), "-o", "app"],
        tmp_path,
    )
    shown = subprocess.run([tmp_path / "app"], capture_output=True, text=True, check=True).stdout
    assert shown == "0 1 2 3 4 5 "


def test_make_runs_the_example(tmp_path: Path) -> None:
    if not shutil.which("make"):
        pytest.skip("there is no make")
    write_files(tmp_path, write_c(graph(), prefix="net"))
    command = f"CC={' '.join(compiler())}"
    shown = subprocess.run(
        ["make", "-s", "run", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    (want,) = ReferenceRuntime(graph()).run([np.zeros((1, 6, 5, 3), np.int8)])
    assert shown.stdout.split() == [f"{b:02x}" for b in want.tobytes()]


def test_cmake_builds_the_library(tmp_path: Path) -> None:
    if not shutil.which("cmake"):
        pytest.skip("there is no cmake")
    write_files(tmp_path, write_c(graph()))
    for command in (["cmake", "-DMODEL_EXAMPLE=ON", "-B", "b"], ["cmake", "--build", "b"]):
        run_compiler(command, tmp_path)


def test_states_go_on_until_they_are_reset(tmp_path: Path) -> None:
    def lstm(steps: int) -> Graph:
        return parse(QUANTIZED_CASES["lstm/batch_major"].text.replace("[1, 5,", f"[1, {steps},"))

    graphs = {"two": lstm(2), "one": lstm(1)}
    library = Library(tmp_path, {name: write_c(g, prefix=name) for name, g in graphs.items()})
    x = np.random.default_rng(0).integers(-128, 128, (1, 2, 10), np.int8)
    (both,) = library.run("two", graphs["two"], [x])
    (first,) = library.run("one", graphs["one"], [x[:, :1]])
    (second,) = library.run("one", graphs["one"], [x[:, 1:]], go_on=True)
    (again,) = library.run("one", graphs["one"], [x[:, :1]])
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), both)
    np.testing.assert_array_equal(again, first)
    assert (second != first).any()
