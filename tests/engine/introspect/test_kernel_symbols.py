"""Names and callers in a kernel that lies in guest memory, and which part of it accepts."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tdvfsh.engine.introspect.kernel_symbols import KernelSymbols, accept_phase
from tdvfsh.engine.x86.return_addresses import call_target, follows_call
from tdvfsh.units import MIB, PAGE_SIZE
from tests.formats.kallsyms_builder import BASE, LAYOUTS, build_kallsyms

START = 2 * MIB
SIZE = 4 * MIB
MOVED = BASE + 0x1E00000
STACK = MOVED + 0x300000

TDCALL, ACCEPT_ONE, TDX_ACCEPT, ACCEPT, MEMBLOCK_ALLOC, SETUP, STALE, INDIRECT = range(0x100, 0x900, 0x100)
FUNCTIONS = {
    TDCALL: "__tdcall",
    ACCEPT_ONE: "try_accept_one",
    TDX_ACCEPT: "tdx_accept_memory",
    ACCEPT: "accept_memory",
    MEMBLOCK_ALLOC: "memblock_alloc_range_nid",
    SETUP: "setup_arch",
    STALE: "get_page_from_freelist",
    INDIRECT: "do_initcall",
}


class Guest:
    """Memory with a kernel of a few functions at START, running at ``linear``, and a stack."""

    def __init__(self, kernel: str = "6.12", linear: int = MOVED) -> None:
        symbols = [(BASE, "T_text"), (BASE, "T_stext")]
        symbols += [(BASE + at, f"T{name}") for at, name in FUNCTIONS.items()]
        symbols += [(BASE + 0x4000 + 16 * number, f"tfiller_{number}") for number in range(10)]
        symbols += [(BASE + 0x5000, "T_etext"), (BASE + SIZE, "B_end")]
        self.image = bytearray(build_kallsyms(LAYOUTS[kernel], symbols))
        self.linear = linear
        self.stack: list[int] = []
        self.walks = 0

    def call(self, caller: int, callee: int | None, at: int = 0x20) -> int:
        """Put a call into ``caller``, through a register where ``callee`` is None; its return address."""
        if callee is None:
            self.image[caller + at - 2 : caller + at] = b"\xff\xd0"
        else:
            relative = struct.pack("<i", callee - caller - at)
            self.image[caller + at - 5 : caller + at] = b"\xe8" + relative
        return self.linear + caller + at

    def symbols(self) -> KernelSymbols:
        memory = bytearray(START + SIZE)
        memory[START : START + len(self.image)] = self.image
        return KernelSymbols(memoryview(memory), START, START + SIZE, self.translate)

    def translate(self, page: int) -> int | None:
        self.walks += 1
        return page - self.linear + START if self.linear <= page < self.linear + SIZE else None

    def read(self, address: int, size: int) -> bytes | None:
        assert address // PAGE_SIZE == (address + size - 1) // PAGE_SIZE
        if not STACK <= address < STACK + PAGE_SIZE:
            return None
        return b"".join(struct.pack("<Q", word) for word in self.stack).ljust(PAGE_SIZE, b"\0")[
            address - STACK : address - STACK + size
        ]


@pytest.mark.parametrize("kernel", LAYOUTS)
def test_addresses_have_names_wherever_the_kernel_was_moved_to(kernel: str) -> None:
    guest = Guest(kernel)
    symbols = guest.symbols()
    assert symbols.found
    assert symbols.name(MOVED + ACCEPT + 0x1C) == "accept_memory+0x1c"
    assert symbols.name(MOVED + ACCEPT) == "accept_memory"
    assert symbols.contains(MOVED + ACCEPT)
    assert not symbols.contains(MOVED + 0x5000)


def test_before_it_runs_at_linear_addresses_the_kernel_is_known_by_physical_ones() -> None:
    symbols = Guest().symbols()
    assert symbols.name(START + ACCEPT + 4) == "accept_memory+0x4"
    assert symbols.name(MOVED + ACCEPT + 4) == "accept_memory+0x4"
    assert symbols.name(START + ACCEPT + 4) == f"{START + ACCEPT + 4:#x}"  # by now a program's own address


@pytest.mark.parametrize("address", [0, START - 1, MOVED - 1, MOVED + SIZE, 0xFFFF_FFFF_C000_0000, (1 << 64) - 1])
def test_what_is_no_part_of_the_kernel_is_a_number(address: int) -> None:
    symbols = Guest().symbols()
    assert symbols.name(address) == f"{address:#x}"
    assert not symbols.contains(address)


def test_a_kernel_without_a_symbol_table_has_numbers_and_no_callers() -> None:
    guest = Guest()
    guest.image = bytearray(0x1000)
    guest.stack = [guest.call(ACCEPT, TDX_ACCEPT)]
    symbols = guest.symbols()
    assert not symbols.found
    assert symbols.name(MOVED + ACCEPT) == f"{MOVED + ACCEPT:#x}"
    assert symbols.call_chain(STACK, guest.read, MOVED + ACCEPT) == ()


def test_the_page_tables_are_walked_once() -> None:
    guest = Guest()
    symbols = guest.symbols()
    for offset in range(0, SIZE, 0x1000):
        symbols.name(MOVED + offset)
    assert guest.walks == 1


def test_a_call_chain_is_the_return_addresses_on_the_stack() -> None:
    guest = Guest()
    guest.stack = [
        0, guest.call(ACCEPT_ONE, TDCALL), 7, MOVED + 0x4008, guest.call(TDX_ACCEPT, ACCEPT_ONE), STACK + 8,
        guest.call(ACCEPT, TDX_ACCEPT), guest.call(MEMBLOCK_ALLOC, ACCEPT), guest.call(SETUP, MEMBLOCK_ALLOC),
    ]  # fmt: skip
    symbols = guest.symbols()
    names = ("try_accept_one+0x20", "tdx_accept_memory+0x20", "accept_memory+0x20", "memblock_alloc_range_nid+0x20",
             "setup_arch+0x20")  # fmt: skip
    assert symbols.call_chain(STACK, guest.read) == names
    assert symbols.call_chain(STACK, guest.read, MOVED + TDCALL + 0x1E) == ("__tdcall+0x1e", *names)
    assert symbols.call_chain(STACK, guest.read, MOVED + TDCALL + 0x1E, frames=3) == ("__tdcall+0x1e", *names[:2])
    assert symbols.call_chain(STACK + 8 * 6, guest.read) == names[2:]
    assert symbols.call_chain(STACK + 8 * 6 + 3, guest.read) == names[2:]
    assert symbols.call_chain(STACK - PAGE_SIZE, guest.read) == ()


def test_what_an_earlier_call_left_on_the_stack_is_passed_over_for_the_real_caller() -> None:
    guest = Guest()
    guest.stack = [
        guest.call(ACCEPT_ONE, TDCALL), guest.call(STALE, INDIRECT), guest.call(TDX_ACCEPT, ACCEPT_ONE),
        guest.call(ACCEPT, TDX_ACCEPT), guest.call(STALE, INDIRECT), guest.call(MEMBLOCK_ALLOC, ACCEPT),
    ]  # fmt: skip
    chain = guest.symbols().call_chain(STACK, guest.read, MOVED + TDCALL + 2)
    assert "get_page_from_freelist+0x20" not in chain
    assert accept_phase(chain) == "memblock"


def test_a_caller_through_a_register_or_before_a_jump_is_believed_where_no_other_fits() -> None:
    guest = Guest()
    guest.stack = [guest.call(INDIRECT, None), guest.call(SETUP, INDIRECT), guest.call(STALE, MEMBLOCK_ALLOC)]
    chain = guest.symbols().call_chain(STACK, guest.read, MOVED + ACCEPT + 2)
    assert chain == ("accept_memory+0x2", "do_initcall+0x20", "setup_arch+0x20", "get_page_from_freelist+0x20")


def test_a_call_at_the_very_end_of_a_function_belongs_to_it() -> None:
    guest = Guest()
    ends = guest.call(TDX_ACCEPT, ACCEPT_ONE, at=0x100)
    guest.stack = [guest.call(ACCEPT_ONE, TDCALL), ends, guest.call(STALE, ACCEPT), guest.call(SETUP, TDX_ACCEPT)]
    chain = guest.symbols().call_chain(STACK, guest.read, MOVED + TDCALL)
    assert chain[-1] == "setup_arch+0x20"
    assert "get_page_from_freelist+0x20" not in chain


def test_a_stack_is_read_by_pages_as_far_as_it_goes() -> None:
    guest = Guest()
    guest.stack = [0] * 511 + [guest.call(ACCEPT, TDX_ACCEPT)]
    reads: list[tuple[int, int]] = []

    def read(address: int, size: int) -> bytes | None:
        reads.append((address, size))
        return guest.read(address, size)

    assert guest.symbols().call_chain(STACK + 0x800, read) == ("accept_memory+0x20",)
    assert reads == [(STACK + 0x800, 0x800), (STACK + 0x1000, 0x800)]


CALLS: list[tuple[bytes, bool, Callable[[int], int | None]]] = [
    (bytes.fromhex("9090e810000000"), True, lambda address: address + 0x10),
    (bytes.fromhex("9090e8f0ffffff"), True, lambda address: address - 0x10),
    (bytes.fromhex("9090909090ffd0"), True, lambda address: None),
    (bytes.fromhex("90909041ff5310"), True, lambda address: None),
    (bytes.fromhex("ff142508000000"), True, lambda address: None),
    (bytes.fromhex("9090909090ffe0"), False, lambda address: None),
    (bytes.fromhex("90909090909090"), False, lambda address: None),
]


@pytest.mark.parametrize(("before", "calls", "target"), CALLS)
def test_return_addresses_stand_behind_calls(before: bytes, calls: bool, target: Callable[[int], int | None]) -> None:
    assert follows_call(before) is calls
    assert call_target(before, MOVED) == target(MOVED)


PATH = ("__tdcall+0x1e", "try_accept_one+0x5c", "tdx_accept_memory+0x4d", "accept_memory+0x1ad")


@pytest.mark.parametrize(
    ("callers", "phase"),
    [
        (("memblock_alloc_range_nid+0x165", "memblock_alloc_internal+0x3b", "setup_arch+0xa3f"), "memblock"),
        (("memblock_double_array+0xd7", "memblock_add_range.isra.0+0x1"), "memblock"),
        (("__accept_page+0xa2", "cond_accept_memory+0x144", "get_page_from_freelist+0x15d"), "page allocator"),
        (("__accept_page+0xa2", "cond_accept_memory.part.0+0xa0", "get_page_from_freelist+0x15d"), "page allocator"),
        (("__accept_page+0xa2", "cond_accept_memory+0xb5", "alloc_pages_bulk_noprof+0x172"), "page allocator"),
        (("__accept_page+0xa2", "accept_page+0x93", "set_migratetype_isolate.isra.0+0x385"), "page allocator"),
        (("deferred_init_maxorder+0x1cb", "deferred_init_memmap_chunk+0x71", "kthread+0xd2"), "eager"),
        (("__free_pages_core+0xcc", "deferred_init_maxorder+0x1b9"), "eager"),
        (("__free_pages_core+0xcc", "memblock_free_all+0x1f0", "mem_init+0x14", "start_kernel+0x4e0"), "eager"),
        (("__free_pages_core+0xcc", "memblock_alloc_internal+0x3b"), "eager"),
        (("__free_pages_core+0xcc", "online_pages_range+0x80", "online_pages+0x165"), "hotplug"),
        (("__free_pages_core+0xcc", "generic_online_page+0x13", "virtio_mem_online_page_cb+0x60"), "hotplug"),
        (("__accept_page+0xa2", "cond_accept_memory+0xb5", "alloc_pages+1", "online_pages+0x165"), "page allocator"),
        (("sanity_check_segment_list+0x334", "do_kexec_load+0x100"), "other"),
        (("something_new+0x10",), "other"),
    ],
)
def test_the_nearest_caller_that_tells_decides_the_phase(callers: tuple[str, ...], phase: str) -> None:
    assert accept_phase((*PATH, *callers)) == phase


def test_a_conversion_back_to_private_accepts_without_accept_memory() -> None:
    chain = (
        *PATH[:3],
        "tdx_enc_status_change_finish+0x2a",
        "__set_memory_enc_pgtable+0x1c0",
        "set_memory_encrypted+0x30",
    )
    assert accept_phase(chain) == "conversion"


def test_nobody_is_other() -> None:
    assert accept_phase(()) == "other"
