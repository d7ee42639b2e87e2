"""model.h: what an application sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgepack.ir import Graph, Value
from edgepack.writers.c.ctext import braces, comment, real


def header_file(graph: Graph, arena_bytes: int, prefix: str, state_bytes: int = 0) -> str:
    """The header of the project; `ep_` stands for the prefix.

    Models with a state, of `state_bytes` outside the arena, have a function that resets it.
    """
    return _HEADER.format(
        upper=prefix.upper(),
        arena=max(arena_bytes, 1),
        inputs=_constants(graph.inputs, "INPUT"),
        outputs=_constants(graph.outputs, "OUTPUT"),
        state_bytes=state_bytes,
        reset=_RESET if state_bytes else "",
    )


def _constants(values: Sequence[Value], what: str) -> str:
    lines = [f"#define EP_{what}_COUNT {len(values)}U"]
    for index, value in enumerate(values):
        lines += ["", *_value_constants(value, f"EP_{what}{index}")]
    return "\n".join(lines)


def _value_constants(value: Value, name: str) -> list[str]:
    shape = value.shape or (1,)
    lines = [
        f"/* {comment(value.name)}: {value.dtype}{list(value.shape)} */",
        f"#define {name}_BYTES {value.nbytes}U",
        f"#define {name}_ELEMENTS {value.size}U",
        f"#define {name}_RANK {len(shape)}U",
        f"#define {name}_SHAPE {braces(shape)}",
    ]
    quant = value.quant
    scale = 1.0 if quant is None else float(quant.scale[0])
    zero = 0 if quant is None else int(quant.zero_point[0])
    return [*lines, f"#define {name}_SCALE {real(scale)}", f"#define {name}_ZERO_POINT ({zero})"]


_RESET: Final = """
/* Forget what earlier runs left: the states of recurrent layers begin anew. */
void ep_reset(void);
"""

_HEADER: Final = """\
/* A neural network: write its inputs, run it, read its outputs.

       memcpy(ep_input(0), samples, EP_INPUT0_BYTES);
       if (ep_run() == EP_OK) {{ ... ep_output(0) ... }}

   A number is SCALE * (integer - ZERO_POINT). Values of rank 4 are NHWC. */
#ifndef {upper}_H
#define {upper}_H

#ifdef __cplusplus
extern "C" {{
#endif

/* Working memory, in bytes. With EP_ARENA_EXTERNAL defined when this project is compiled, the
   application defines it: uint8_t ep_arena[EP_ARENA_BYTES], aligned to EP_ARENA_ALIGNMENT. */
#define EP_ARENA_BYTES {arena}U
#define EP_ARENA_ALIGNMENT 16U

/* Memory beside the arena that lasts from one run to the next, in bytes. */
#define EP_STATE_BYTES {state_bytes}U

{inputs}

{outputs}

/* What ep_run returns. */
#define EP_OK 0
#define EP_ERROR_ALIGNMENT 1 /* an external arena is not aligned to EP_ARENA_ALIGNMENT */

/* Where an input is written; NULL beyond the last. Its content is lost when the model runs. */
void *ep_input(unsigned index);

/* Run the model once. Returns EP_OK or an error from above. */
int ep_run(void);

/* Where an output is read, until the next run; NULL beyond the last. */
const void *ep_output(unsigned index);
{reset}
/* Define these to place the arena and the weights, such as __attribute__((section(".itcm"))). */
#ifndef EP_ARENA_SECTION
#define EP_ARENA_SECTION
#endif
#ifndef EP_WEIGHTS_SECTION
#define EP_WEIGHTS_SECTION
#endif
#ifndef EP_ALIGNED
#if defined(__GNUC__)
#define EP_ALIGNED __attribute__((aligned(16)))
#else
#define EP_ALIGNED
#endif
#endif

/* Kernels read words of tables of bytes. */
#ifndef EP_WORD_ALIGNED
#if defined(__GNUC__)
#define EP_WORD_ALIGNED __attribute__((aligned(4)))
#else
#define EP_WORD_ALIGNED
#endif
#endif

#ifdef __cplusplus
}}
#endif

#endif
"""
