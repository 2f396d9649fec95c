"""ConIn, ConOut and StdErr.

Source: UEFI 2.10 12.2 to 12.4.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.console.keys import Key, KeySource
from tdvfsh.engine.console.screen import COLUMNS, ROWS, Screen
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import (
    EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_SHIFT_STATE_VALID: Final = 0x80000000
_TOGGLE_STATE_VALID: Final = 0x80
_LEFT_CONTROL: Final = 0x00000008
_KEY: Final = struct.Struct("<HH")
_KEY_DATA: Final = struct.Struct("<HHIB3x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """The console of a run.

    Attributes:
        screen: The screen of ConOut and StdErr.
        keys: The keys of ConIn.
        create_ready_event: Makes an event that is signaled whenever the function that it is called with says so.
        polled: Called when guest code has asked for a key in vain.
    """

    screen: Screen
    keys: KeySource
    create_ready_event: Callable[[Callable[[], bool]], int]
    polled: Callable[[], None]


class TextOutput:
    """EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL over a screen. Mode 0, 80x25, is the only one."""

    def __init__(self, context: GuestContext, screen: Screen) -> None:
        self._context = context
        self._ram = context.ram
        self._screen = screen
        self._mode = context.interfaces.structure([bytes(24)])
        self.address = context.interfaces.structure(
            [
                self.reset, self.output_string, self.test_string, self.query_mode, self.set_mode, self.set_attribute,
                self.clear_screen, self.set_cursor_position, self.enable_cursor, self._mode,
            ]
        )  # fmt: skip
        self._write_mode()

    def _write_mode(self) -> None:
        screen = self._screen
        mode = struct.pack("<6i", 1, 0, screen.attribute, screen.column, screen.row, 1 if screen.cursor_visible else 0)
        self._ram.write(self._mode, mode)

    @service("EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.Reset", "qb")
    def reset(self, this: int, extended_verification: int) -> EfiStatus:
        """Clears the screen, default attribute."""
        self._screen.set_attribute(0x07)
        self._screen.clear()
        self._write_mode()
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.OutputString", "qs")
    def output_string(self, this: int, string: int) -> EfiStatus:
        """Writes to the screen."""
        self._screen.write(self._ram.utf16(string))
        self._write_mode()
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.TestString", "qs")
    def test_string(self, this: int, string: int) -> EfiStatus:
        """Every character of the basic plane can be shown."""
        return EfiStatus.EFI_UNSUPPORTED if "\ufffd" in self._ram.utf16(string) else SUCCESS

    @service("EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.QueryMode", "qqqq")
    def query_mode(self, this: int, mode_number: int, columns: int, rows: int) -> EfiStatus:
        """80x25."""
        if mode_number:
            return EfiStatus.EFI_UNSUPPORTED
        self._ram.put_u64(columns, COLUMNS)
        self._ram.put_u64(rows, ROWS)
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.SetMode", "qq")
    def set_mode(self, this: int, mode_number: int) -> EfiStatus:
        """Clears the screen."""
        if mode_number:
            return EfiStatus.EFI_UNSUPPORTED
        return self.clear_screen(this)

    @service("EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.SetAttribute", "qq")
    def set_attribute(self, this: int, attribute: int) -> EfiStatus:
        """Colours."""
        if attribute > 0x7F:
            return EfiStatus.EFI_UNSUPPORTED
        self._screen.set_attribute(attribute)
        self._write_mode()
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.ClearScreen", "q")
    def clear_screen(self, this: int) -> EfiStatus:
        """Blanks, and the cursor in the corner."""
        self._screen.clear()
        self._write_mode()
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.SetCursorPosition", "qqq")
    def set_cursor_position(self, this: int, column: int, row: int) -> EfiStatus:
        """Moves the cursor."""
        if not self._screen.move(column, row):
            return EfiStatus.EFI_UNSUPPORTED
        self._write_mode()
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.EnableCursor", "qb")
    def enable_cursor(self, this: int, visible: int) -> EfiStatus:
        """Shows or hides the cursor."""
        self._screen.show_cursor(bool(visible))
        self._write_mode()
        return SUCCESS


@dataclass(frozen=True, slots=True)
class _Registration:
    """A key that a guest is notified of."""

    key: Key
    shift_state: int
    function: int


class TextInput:
    """EFI_SIMPLE_TEXT_INPUT_PROTOCOL and its extended form, over the run's keys.

    Args:
        context: Guest memory, and the way into guest code.
        console: The keys.
    """

    def __init__(self, context: GuestContext, console: Console) -> None:
        self._context = context
        self._console = console
        self._ram = context.ram
        self._registrations: dict[int, _Registration] = {}
        self._pending: list[Key] = []
        event = console.create_ready_event(self._ready)
        structure = context.interfaces.structure
        self.address = structure([self.reset, self.read_key_stroke, event])
        self.ex_address = structure(
            [
                self.reset_ex, self.read_key_stroke_ex, event, self.set_state, self.register_key_notify,
                self.unregister_key_notify,
            ]
        )  # fmt: skip

    def _ready(self) -> bool:
        self._fetch()
        return bool(self._pending)

    def _fetch(self) -> None:
        """Take a key from the source; registered functions hear of it first."""
        if self._pending:
            return
        key = self._console.keys.read()
        if key is None:
            return
        self._pending.append(key)
        for registration in list(self._registrations.values()):
            if _matches(registration, key):
                data = self._context.heap.allocate(_KEY_DATA.size)
                self._ram.write(data, _key_data(key))
                self._context.call(registration.function, data)
                self._context.heap.free(data)

    @service("EFI_SIMPLE_TEXT_INPUT_PROTOCOL.Reset", "qb")
    def reset(self, this: int, extended_verification: int) -> EfiStatus:
        """Nothing is wrong with the keyboard; keys of a script are not thrown away."""
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_INPUT_PROTOCOL.ReadKeyStroke", "qq")
    def read_key_stroke(self, this: int, key: int) -> EfiStatus:
        """The next key, or EFI_NOT_READY; asking in vain takes a moment."""
        self._fetch()
        if not self._pending:
            self._console.polled()
            return EfiStatus.EFI_NOT_READY
        self._ram.write(key, _KEY.pack(*self._pending.pop(0)))
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL.Reset", "qb")
    def reset_ex(self, this: int, extended_verification: int) -> EfiStatus:
        """As the plain one."""
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL.ReadKeyStrokeEx", "qq")
    def read_key_stroke_ex(self, this: int, key_data: int) -> EfiStatus:
        """The next key with its shift state."""
        if not key_data:
            return _INVALID
        self._fetch()
        if not self._pending:
            self._ram.write(key_data, bytes(_KEY_DATA.size - 3))
            self._console.polled()
            return EfiStatus.EFI_NOT_READY
        self._ram.write(key_data, _key_data(self._pending.pop(0))[: _KEY_DATA.size - 3])
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL.SetState", "qq")
    def set_state(self, this: int, key_toggle_state: int) -> EfiStatus:
        """No lamps."""
        return EfiStatus.EFI_UNSUPPORTED

    @service("EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL.RegisterKeyNotify", "qqqq")
    def register_key_notify(
        self, this: int, key_data: int, key_notification_function: int, notify_handle: int
    ) -> EfiStatus:
        """Call a function when a key is typed."""
        if not key_data or not key_notification_function or not notify_handle:
            return _INVALID
        scan_code, character, shift_state, _ = _KEY_DATA.unpack(self._ram.read(key_data, _KEY_DATA.size))
        handle = self._context.heap.allocate(16)
        self._registrations[handle] = _Registration(Key(scan_code, character), shift_state, key_notification_function)
        self._ram.put_u64(notify_handle, handle)
        return SUCCESS

    @service("EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL.UnregisterKeyNotify", "qq")
    def unregister_key_notify(self, this: int, notification_handle: int) -> EfiStatus:
        """Call it no longer."""
        if self._registrations.pop(notification_handle, None) is None:
            return _INVALID
        self._context.heap.free(notification_handle)
        return SUCCESS


def _key_data(key: Key) -> bytes:
    """EFI_KEY_DATA: a control character is its letter with Ctrl held."""
    if key.scan_code == 0 and 0 < key.unicode_char < 0x20 and key.unicode_char not in (8, 9, 10, 13):
        letter = Key(0, key.unicode_char + 0x60)
        return _KEY_DATA.pack(*letter, _SHIFT_STATE_VALID | _LEFT_CONTROL, _TOGGLE_STATE_VALID)
    return _KEY_DATA.pack(*key, _SHIFT_STATE_VALID, _TOGGLE_STATE_VALID)


def _matches(registration: _Registration, key: Key) -> bool:
    scan_code, character, shift_state, _ = _KEY_DATA.unpack(_key_data(key))
    wanted = registration.shift_state
    return registration.key == Key(scan_code, character) and (not wanted or wanted == shift_state)


class ConsoleHandles(NamedTuple):
    """The virtual console devices of the system table: ConIn, ConOut and StdErr.

    Attributes:
        text_input: Interface of ConIn, plain and extended.
        text_output: Interface of ConOut and StdErr.
        in_handle: ConsoleInHandle.
        out_handle: ConsoleOutHandle.
        error_handle: StandardErrorHandle.
    """

    text_input: TextInput
    text_output: TextOutput
    in_handle: int
    out_handle: int
    error_handle: int

    @property
    def of_system_table(self) -> tuple[int, int, int, int, int, int]:
        """Handles and interfaces as they stand in EFI_SYSTEM_TABLE."""
        text_input, text_output = self.text_input.address, self.text_output.address
        return self.in_handle, text_input, self.out_handle, text_output, self.error_handle, text_output


def install_console(context: GuestContext, console: Console) -> ConsoleHandles:
    """Make the console's handles."""
    text_input = TextInput(context, console)
    text_output = TextOutput(context, console.screen)
    register, install = context.interfaces.register, context.services.handles.install_protocol_interface
    register(
        EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID,
        lambda handle, thing: thing.address if isinstance(thing, TextInput) else None,
    )
    register(
        EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID,
        lambda handle, thing: thing.ex_address if isinstance(thing, TextInput) else None,
    )
    register(
        EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID,
        lambda handle, thing: thing.address if isinstance(thing, TextOutput) else None,
    )
    in_handle = install(None, EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID, text_input).handle or 0
    install(in_handle, EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID, text_input)
    out_handle = install(None, EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID, text_output).handle or 0
    error_handle = install(None, EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID, text_output).handle or 0
    return ConsoleHandles(text_input, text_output, in_handle, out_handle, error_handle)
