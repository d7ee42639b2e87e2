"""Damaged copies of a file, each told by its seed."""

from __future__ import annotations

import random

_WORDS = (b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\xc0\x7f", b"\1\0\0\0")


def damaged(data: bytes, seed: int) -> bytes:
    """`data` truncated, with bits flipped, words overwritten, bytes taken out or put in."""
    rng = random.Random(seed)
    result = bytearray(data)
    place = rng.randrange(len(data) - 4)
    match rng.randrange(6):
        case 0:
            del result[place:]
        case 1:
            for _ in range(rng.choice((1, 1, 2, 8))):
                result[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 2:
            result[place : place + 4] = rng.choice(_WORDS)
        case 3:
            del result[place : place + rng.randrange(1, 40)]
        case 4:
            result[place:place] = rng.randbytes(rng.randrange(1, 40))
        case _:
            result[place] = rng.randrange(256)
    return bytes(result)
