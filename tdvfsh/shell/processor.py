"""Programs of the shell's drives on a real processor, where the user asked for one.

What a program prints goes where the shell's output goes; it finds no keys, since the shell's input is its script or its
prompt. ``tdvfsh exec`` connects a program to the terminal.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tdvfsh.dxe.driver_support import DriverBinding
    from tdvfsh.dxe.images import Program
    from tdvfsh.dxe.loaded_image import LoadedImage
    from tdvfsh.dxe.protocols import FileLoader
    from tdvfsh.engine.board.limit import RunLimit
    from tdvfsh.engine.runs.guest import GuestFirmware
    from tdvfsh.machine import Machine
    from tdvfsh.shell.shell import Shell
    from tdvfsh.uefi.guids import Guid
    from tdvfsh.uefi.status import EfiStatus

_Answer = TypeVar("_Answer")
ENGINES: Final = ("model", "cpu")
_STATE: Final = "engine"
_PROCESSOR: Final = "processor"


def wants_processor(shell: Shell) -> bool:
    """Whether machines of this shell get a processor."""
    return shell.state.get(_STATE) == "cpu"


def choose_engine(shell: Shell, engine: str) -> None:
    """``cpu`` or ``model``: for the machine that is there, and for those that will be made.

    Raises:
        HostError: The extra is not installed.
        UsageError: Unknown engine.
    """
    from tdvfsh.errors import UsageError
    from tdvfsh.machine import Machine

    if engine not in ENGINES:
        raise UsageError(f"-engine {engine}: choose one of {', '.join(ENGINES)}")
    if engine == "cpu":
        from tdvfsh.engine.extra import cpu_extra

        cpu_extra("unicorn")
    before = wants_processor(shell)
    shell.state[_STATE] = engine
    if isinstance(shell.machine, Machine) and wants_processor(shell) is not before:
        if engine == "cpu":
            connect_processor(shell, shell.machine)
        else:
            disconnect_processor(shell.machine)


def connect_processor(shell: Shell, machine: Machine, own: Iterable[tuple[int, Guid, object]] = ()) -> None:
    """Let StartImage run real code in this machine.

    Args:
        shell: Prints what programs print.
        machine: Where they run.
        own: Handle, protocol and interface of what stands for interfaces of a processor that the machine had elsewhere;
            those of the new one take their place.
    """
    known = shell.state.get(_PROCESSOR)
    if not isinstance(known, _Processor) or known.machine is not machine:
        known = shell.state[_PROCESSOR] = _Processor(shell, machine, own)
    known.connect()


def disconnect_processor(machine: Machine) -> None:
    """No program runs in this machine from now on."""
    from tdvfsh.dxe.driver_overrides import NoDriverOverrides

    services = machine.services
    services.images.program_for = lambda image: None
    services.images.files.loader_of = lambda protocol, interface: None
    services.images.loaded = lambda handle, image: None
    services.core.events.call = None
    services.drivers.binding_of = lambda interface: None
    services.drivers.overrides = NoDriverOverrides()


def is_processor_s(shell: Shell, handle: int, protocol: Guid, interface: object) -> bool:
    """Whether an interface on a handle comes with the processor, which makes it anew for every machine."""
    known = shell.state.get(_PROCESSOR)
    return isinstance(known, _Processor) and known.owns(handle, protocol, interface)


class _Processor:
    """Processor for the programs of one machine.

    Memory is the processor's own while there is one. Going back to a moment before puts plain contents in its place;
    the next program then starts on a new processor, over memory as it was at that moment.

    Args:
        shell: Prints what programs print.
        machine: Where they run.
    """

    def __init__(self, shell: Shell, machine: Machine, own: Iterable[tuple[int, Guid, object]] = ()) -> None:
        self.machine = machine
        self._shell = shell
        self._limit: RunLimit | None = None
        self._firmware: GuestFirmware | None = None
        self._contents: object = None
        self._own = list(own)

    def connect(self) -> GuestFirmware:
        """A new processor, where there is none or the machine has gone back; what it installed before goes."""
        from tdvfsh.engine.board.limit import RunLimit
        from tdvfsh.engine.console.screen import Screen, TranscriptDisplay
        from tdvfsh.engine.runs.guest import GuestFirmware
        from tdvfsh.engine.services.driver_overrides import GuestDriverOverrides

        machine = self.machine
        if self._firmware is None or machine.td.contents is not self._contents:
            if self._firmware is not None:
                self._firmware.close()
            handles = machine.services.handles
            own = [handle for handle in handles if self._is_own(handle)]
            before = set(handles).difference(own)
            self._limit = RunLimit()
            screen = Screen(TranscriptDisplay(_Printer(self._shell)))
            with handles.replacing(own), machine.services.core.events.replacing_ready_events():
                self._firmware = GuestFirmware(machine, screen, limit=self._limit)
            self._own += [
                (handle, guid, interface)
                for handle in handles
                if handle not in before
                for guid, interface in handles.protocols(handle).items()
            ]
            self._contents = machine.td.contents
        machine.services.images.program_for = self.program_for
        machine.services.core.events.call = self._call
        machine.services.drivers.binding_of = self._binding_of
        machine.services.drivers.overrides = GuestDriverOverrides(self._firmware.context, self._call)
        machine.services.images.files.loader_of = self._loader_of
        machine.services.images.loaded = self._loaded
        return self._firmware

    def owns(self, handle: int, protocol: Guid, interface: object) -> bool:
        """Whether this processor, or one before it, installed an interface on a handle."""
        return any(one[2] is interface and one[:2] == (handle, protocol) for one in self._own)

    def _is_own(self, handle: int) -> bool:
        """Whether a handle is a processor's; its number may be another's since the machine went back."""
        protocols = self.machine.services.handles.protocols(handle)
        return any(self.owns(handle, protocol, interface) for protocol, interface in protocols.items())

    def program_for(self, image: LoadedImage) -> Program | None:
        """What StartImage calls for an image."""
        firmware = self.connect()
        program = firmware.image_services.program_for(image)
        if program is None or firmware.image_services.running:
            return program
        return lambda handle: self._run(program, handle)

    def _run(self, program: Program, handle: int) -> EfiStatus:
        """A program that the shell itself started."""
        return self._guarded(lambda: program(handle))

    def _loaded(self, handle: int, image: LoadedImage) -> None:
        """An image was loaded: its texts are offered, or when it starts where the machine has gone back."""
        if self._firmware is not None and self.machine.td.contents is self._contents:
            from tdvfsh.engine.protocols.install import offer_image_texts

            offer_image_texts(self._firmware.context, handle, image)

    def _call(self, function: int, *arguments: int) -> int:
        """A program's notification."""
        firmware = self.connect()
        if firmware.image_services.running:
            return firmware.context.call(function, *arguments)
        return self._guarded(lambda: firmware.context.call(function, *arguments))

    def _binding_of(self, interface: object) -> DriverBinding | None:
        """A program's driver binding."""
        firmware = self.connect()
        binding = firmware.driver_services.binding_of(interface)
        if binding is None or firmware.image_services.running:
            return binding
        return _GuardedBinding(binding, self._guarded)

    def _loader_of(self, protocol: Guid, interface: object) -> FileLoader | None:
        """A program's LoadFile."""
        from tdvfsh.engine.services.file_loaders import file_loader

        return file_loader(self.connect().context, self._call, protocol, interface)

    def _guarded(self, run: Callable[[], _Answer]) -> _Answer | EfiStatus:
        """Run code of a program; what is stopped ends with EFI_ABORTED and a report."""
        from tdvfsh.engine.errors import EngineError, GuestStopped
        from tdvfsh.uefi.status import EfiStatus

        assert self._limit is not None
        try:
            with self._limit:
                return run()
        except GuestStopped as stopped:
            self._shell.print("\n".join(stopped.violation.lines()) + "\n")
        except EngineError as error:
            self._shell.print(f"{error}\n")
        return EfiStatus.EFI_ABORTED


class _GuardedBinding:
    """A driver binding that is called from the prompt.

    Args:
        binding: The program's.
        guarded: Runs its code.
    """

    def __init__(self, binding: DriverBinding, guarded: Callable[[Callable[[], EfiStatus]], EfiStatus]) -> None:
        self._binding = binding
        self._guarded = guarded

    @property
    def version(self) -> int:
        """Version."""
        return self._binding.version

    @property
    def image_handle(self) -> int:
        """ImageHandle."""
        return self._binding.image_handle

    def supported(self, controller: int, remaining: int) -> EfiStatus:
        """Supported()."""
        return self._guarded(lambda: self._binding.supported(controller, remaining))

    def start(self, controller: int, remaining: int) -> EfiStatus:
        """Start()."""
        return self._guarded(lambda: self._binding.start(controller, remaining))

    def stop(self, controller: int, children: Sequence[int]) -> EfiStatus:
        """Stop()."""
        return self._guarded(lambda: self._binding.stop(controller, children))


class _Printer:
    """The shell's output as the program's screen."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def write(self, text: str) -> None:
        self._shell.print(text)
