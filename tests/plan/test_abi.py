import pytest

from edgepack.plan.abi import CORTEX_M, HOST, ILP32, Abi, Extent, Layouts

# fields, ABI, size, alignment: by the C rules for each architecture
CASES = {
    "one byte": ("b", CORTEX_M, 1, 1),
    "padding before a pointer": ("b p", CORTEX_M, 8, 4),
    "padding at the end": ("p b", HOST, 16, 8),
    "short enums": ("2e 2b e", CORTEX_M, 5, 1),
    "long enums": ("2e 2b e", ILP32, 16, 4),
    "64-bit members align to 8 on 32-bit Arm too": ("i q", CORTEX_M, 16, 8),
    "only with compression": ("i ?2i", HOST, 12, 4),
    "not without": ("i ?2i", CORTEX_M, 4, 4),
    "only in recent releases": ("b +2p", HOST, 24, 8),
    "nested keeps its own padding": ("{Pair} b", CORTEX_M, 12, 4),
    "array of nested": ("3{Pair}", HOST, 48, 8),
    "empty structure takes a byte": ("?i", CORTEX_M, 1, 1),
}


@pytest.mark.parametrize("case", CASES)
def test_extent(case):
    fields, abi, size, alignment = CASES[case]
    assert Layouts({"Pair": "p b"}, abi).of(fields) == Extent(size, alignment)


@pytest.mark.parametrize(("pointer_bytes", "enum_bytes"), [(2, 4), (8, 2)])
def test_unknown_widths_are_refused(pointer_bytes, enum_bytes):
    with pytest.raises(ValueError, match="bytes"):
        Abi(pointer_bytes, enum_bytes)


def test_unknown_structure():
    with pytest.raises(KeyError):
        Layouts({}, HOST).named("Nothing")
