"""``--fast-decompress``: the host unpacks the kernel, in place of the decompressor in its EFI stub.

Nothing is guessed: the functions that are called near where the stub takes its payload's address are watched, and a
call is answered by the host only where registers and memory hold a decompressor's whole contract, its output is the
buffer that the stub has allocated for the kernel, and the stream unpacks to what the setup header says, with nothing
left. Otherwise the real code runs, and the report says that it did.

Source: Linux arch/x86/boot/compressed/misc.c, decompress_kernel(); Documentation/arch/x86/boot.rst, payload_offset.
"""

from __future__ import annotations

from tdvfsh.engine.errors import InaccessibleMemory
from tdvfsh.engine.introspect.call_sites import functions_called_near
from tdvfsh.engine.introspect.decompressors import CONTRACTS, Call, Contract, Payload, Work
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.engine.x86.stand_ins import StandIn, StandIns
from tdvfsh.errors import FormatError
from tdvfsh.formats.compression import codec_at
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import KernelFile
from tdvfsh.loaders.flow import Placement

_EXECUTABLE: Final = 0x20000000  # IMAGE_SCN_MEM_EXECUTE
_POINTER: Final = 8
_OUTPUT_LENGTH_SIZE: Final = 4


@dataclass(frozen=True, slots=True)
class Shortcut:
    """Outcome of ``--fast-decompress``.

    Attributes:
        taken: Whether the host unpacked all of the kernel.
        format: The payload's compression, where known.
        function: The function that the host stood in for.
        at: Its offset in the image.
        calls: How many of its calls the host answered.
        packed_bytes: What they had for input.
        unpacked_bytes: What they put out.
        why: Why it was not taken, or not to the end.
    """

    taken: bool
    format: str | None
    function: str | None
    at: int
    calls: int
    packed_bytes: int
    unpacked_bytes: int
    why: str | None


class FastDecompression:
    """The host in place of a stub's decompressor.

    Args:
        stand_ins: Takes the place of functions of the processor on which the stub runs.
        ram: Its memory.
        kernel: The kernel's file.
    """

    def __init__(self, stand_ins: StandIns, ram: GuestRam, kernel: KernelFile) -> None:
        self._stand_ins = stand_ins
        self._cpu = stand_ins.cpu
        self._ram = ram
        self._kernel = kernel
        self._buffer: Placement | None = None
        self._base = 0
        self._image_end = 0
        self._payload: Payload | None = None
        self._stops: list[StandIn] = []
        self._found: tuple[Contract, Work] | None = None
        self._answered: list[tuple[Contract, Work, int]] = []
        self._watched = self._arrivals = 0
        self._why: str | None = "no EFI stub has allocated a buffer for the kernel"

    # ---- watching -----------------------------------------------------------------------------------------------

    def watch(self, buffer: Placement | None, base: int | None) -> None:
        """The stub has allocated a buffer for the kernel, or is about to run.

        Args:
            buffer: The buffer; None where its allocation was not seen: any accepted memory will do then.
            base: Where the stub's image lies; None where that is unknown.
        """
        self.end()
        self._buffer = buffer
        self._answered, self._arrivals = [], 0
        self._payload = payload = self._payload_in_image(base) if base is not None else None
        if payload is None:
            self._why = "the kernel has no packed payload that the host knows"
            return
        functions = self._functions(payload)
        self._watched = len(functions)
        self._why = None if functions else "no function is called near where the stub takes its payload's address"
        for function in functions:
            self._stops.append(self._stand_ins.add(function, self._arrived, self._serve))

    def end(self) -> None:
        """Watch no longer. Only while no guest code runs."""
        for stop in self._stops:
            self._stand_ins.remove(stop)
        self._stops = []

    def _payload_in_image(self, base: int) -> Payload | None:
        linux, pe = self._kernel.linux, self._kernel.pe
        if linux is None or pe is None or not linux.payload_length or linux.output_len is None:
            return None
        self._base, self._image_end = base, base + pe.image_size
        start = base + linux.setup_size + linux.payload_offset
        end = start + linux.payload_length
        if end > self._image_end or not self._ram.accessible(start, linux.payload_length):
            return None
        codec = codec_at(ByteSource(self._ram.view[start:end]), 0)
        if codec is None or self._ram.u32(end - _OUTPUT_LENGTH_SIZE) != linux.output_len:
            return None
        return Payload(start, linux.payload_length, linux.output_len, codec)

    def _functions(self, payload: Payload) -> list[int]:
        """Addresses of functions to watch, in the executable sections around the payload."""
        assert self._kernel.pe is not None
        found: list[int] = []
        payload_end = payload.start + payload.size
        for section in self._kernel.pe.sections:
            if section.characteristics & _EXECUTABLE:
                start = self._base + section.virtual_address
                end = min(start + section.virtual_size, self._image_end)
                for low, high in ((start, min(end, payload.start)), (max(start, payload_end), end)):
                    if low < high:
                        found += functions_called_near(bytes(self._ram.view[low:high]), low, payload.start)
        return found

    # ---- a call -------------------------------------------------------------------------------------------------

    def _arrived(self) -> bool:
        """A watched function is called: whether the host takes its place."""
        payload, cpu = self._payload, self._cpu
        if payload is None or self._why is not None:
            return False
        self._arrivals += 1
        call = Call(cpu.read, self._ram, payload)
        for contract in CONTRACTS:
            if contract.formats is None or payload.codec.name in contract.formats:
                try:
                    work = contract.work(call)
                    kept = work is not None and self._is_due(work) and self._called_by_the_image()
                except InaccessibleMemory:
                    continue
                if work is not None and kept:
                    self._found = contract, work
                    return True
        return False

    def _is_due(self, work: Work) -> bool:
        """Whether the bytes go to their places in the buffer that the stub has allocated, and are not there yet."""
        buffer = self._buffer
        if any(work.offset == done.offset for _, done, _ in self._answered):
            return False
        if buffer is None:
            first = self._answered[0][1] if self._answered else work
            if work.target - work.offset != first.target - first.offset:
                return False
        elif work.target != buffer.start + work.offset or work.target + work.size > buffer.end:
            return False
        return self._ram.accessible(work.target, work.size)

    def _called_by_the_image(self) -> bool:
        return self._base <= self._ram.u64(self._cpu.read("RSP")) < self._image_end

    def _serve(self) -> int:
        """Do the work of the call that stopped the processor; returns the address to continue at."""
        cpu, ram = self._cpu, self._ram
        assert self._found is not None
        (contract, work), self._found = self._found, None
        function = cpu.read("RIP")
        try:
            self._unpack(work)
        except FormatError as error:
            self._why = f"the host cannot unpack it: {error}"
            return function
        for address, value in work.stores:
            ram.put_u64(address, value)
        self._answered.append((contract, work, function - self._base))
        if self._unpacked_bytes == self._output_len:
            self.end()
        stack = cpu.read("RSP")
        cpu.write("RAX", work.answer)
        cpu.write("RSP", stack + _POINTER)
        return ram.u64(stack)

    def _unpack(self, work: Work) -> None:
        """Write the unpacked bytes.

        Raises:
            FormatError: The stream is damaged, or is not what the contract says; the buffer may have been written.
        """
        assert self._payload is not None
        packed = ByteSource(bytes(self._ram.view[work.start : work.end]), self._kernel.path)  # the two may overlap
        stream = self._payload.codec.unpack(packed, 0)
        done = 0
        while True:
            try:
                _, output = next(stream)
            except StopIteration as stop:
                used: int = stop.value
                break
            if done + len(output) > work.size:
                raise FormatError(self._kernel.path, f"the payload unpacks to more than {work.size} bytes")
            at = work.target + done
            self._ram.view[at : at + len(output)] = output
            done += len(output)
        self._cpu.mapped.forget_code(work.target, work.target + work.size)
        if done != work.size or used != packed.size:
            raise FormatError(
                self._kernel.path,
                f"{used} of {packed.size} bytes unpack to {done}, where the header says {work.size}",
            )

    # ---- afterwards ---------------------------------------------------------------------------------------------

    @property
    def _output_len(self) -> int:
        return self._payload.output_len if self._payload is not None else 0

    @property
    def _unpacked_bytes(self) -> int:
        return sum(work.size for _, work, _ in self._answered)

    def outcome(self) -> Shortcut:
        """What became of it."""
        unpacked, answered = self._unpacked_bytes, self._answered
        taken = 0 < unpacked == self._output_len
        name = self._payload.codec.name if self._payload is not None else None
        why = self._why
        if not taken and why is None:
            why = (
                f"no call met the contract of a decompressor: {self._watched} functions were watched, which were "
                f"called {self._arrivals} times"
                if not answered
                else "not all calls of the decompressor met its contract"
            )
        return Shortcut(
            taken=taken,
            format=name,
            function=answered[0][0].function if answered else None,
            at=answered[0][2] if answered else 0,
            calls=len(answered),
            packed_bytes=sum(work.end - work.start for _, work, _ in answered),
            unpacked_bytes=unpacked,
            why=None if taken else why,
        )
