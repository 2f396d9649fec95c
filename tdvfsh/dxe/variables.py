"""UEFI variables: the rules of the variable services over one store, as edk2's variable driver has them.

Volatile variables are enumerated before non-volatile ones, each in the order of their last change.

Source: UEFI 2.10 8.2; edk2 MdeModulePkg/Universal/Variable/RuntimeDxe/Variable.c; sizes of OVMF's 4 MiB flash layout
(OvmfPkg/Include/Fdf/OvmfPkgDefines.fdf.inc, OvmfPkg/OvmfPkgX64.dsc).
"""

from __future__ import annotations

from collections.abc import Iterator

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import align_up

EFI_VARIABLE_NON_VOLATILE: Final = 0x01
EFI_VARIABLE_BOOTSERVICE_ACCESS: Final = 0x02
EFI_VARIABLE_RUNTIME_ACCESS: Final = 0x04
EFI_VARIABLE_HARDWARE_ERROR_RECORD: Final = 0x08
EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS: Final = 0x10
EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS: Final = 0x20
EFI_VARIABLE_APPEND_WRITE: Final = 0x40

_ACCESS: Final = EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS
_NV_BS_RT: Final = EFI_VARIABLE_NON_VOLATILE | _ACCESS
_KNOWN: Final = 0x7F
_NV_STORE_BYTES: Final = 0x40000 - 0x48 - 0x1C  # without the headers of the firmware volume and of the store
_VOLATILE_STORE_BYTES: Final = 0x40000 - 0x1C
_HEADER_BYTES: Final = 60  # AUTHENTICATED_VARIABLE_HEADER
_MAXIMUM_BYTES: Final = 0x8400 - _HEADER_BYTES
MAXIMUM_DATA_BYTES: Final = _MAXIMUM_BYTES
"""No variable has more data; a service need not read what is said to be larger."""

_ALIGNMENT: Final = 4
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_READ_ONLY: Final = frozenset({"PlatformLangCodes", "SecureBoot", "SetupMode"})


class Variable(NamedTuple):
    """One variable; ``attributes`` never has EFI_VARIABLE_APPEND_WRITE."""

    name: str
    vendor: Guid
    attributes: int
    data: bytes

    @property
    def stored_bytes(self) -> int:
        """Bytes that it takes in the store, header and padding included."""
        return align_up(align_up(_HEADER_BYTES + _name_bytes(self.name), _ALIGNMENT) + len(self.data), _ALIGNMENT)


class VariableResult(NamedTuple):
    """``variable`` is None unless the status is EFI_SUCCESS."""

    status: EfiStatus
    variable: Variable | None


class VariableInfo(NamedTuple):
    """What QueryVariableInfo returns, in bytes; 0 unless the status is EFI_SUCCESS."""

    status: EfiStatus
    maximum_variable_storage_size: int = 0
    remaining_variable_storage_size: int = 0
    maximum_variable_size: int = 0


FIRMWARE_VARIABLES: Final = (
    Variable("PlatformLangCodes", EFI_GLOBAL_VARIABLE_GUID, _ACCESS, b"en\0"),
    Variable("SecureBoot", EFI_GLOBAL_VARIABLE_GUID, _ACCESS, b"\0"),
    Variable("SetupMode", EFI_GLOBAL_VARIABLE_GUID, _ACCESS, b"\1"),
    Variable("PlatformLang", EFI_GLOBAL_VARIABLE_GUID, _NV_BS_RT, b"en\0"),
    Variable("Timeout", EFI_GLOBAL_VARIABLE_GUID, _NV_BS_RT, b"\0\0"),
)
"""What the firmware itself has set by the time that an image runs."""


class VariableStore:
    """The variables of one firmware.

    Every service takes ``at_runtime``: whether ExitBootServices has succeeded.

    Args:
        variables: What it holds at the start.

    Attributes:
        times: Time stamps of variables that were written with time-based authentication, by vendor and name.
    """

    __slots__ = ("_variables", "times")

    def __init__(self, variables: tuple[Variable, ...] = FIRMWARE_VARIABLES) -> None:
        self._variables = {(variable.vendor, variable.name): variable for variable in variables}
        self.times: dict[tuple[Guid, str], bytes] = {}

    def copy(self) -> VariableStore:
        """An independent store with the same variables."""
        twin = object.__new__(VariableStore)
        twin._variables = self._variables.copy()
        twin.times = self.times.copy()
        return twin

    def restart(self) -> VariableStore:
        """The store after the next start of the platform: non-volatile variables, and the firmware's own."""
        kept = tuple(one for one in self._variables.values() if one.attributes & EFI_VARIABLE_NON_VOLATILE)
        twin = VariableStore(FIRMWARE_VARIABLES + kept)
        twin.times = self.times.copy()
        return twin

    def __len__(self) -> int:
        return len(self._variables)

    def __eq__(self, other: object) -> bool:
        """Whether GetNextVariableName finds the same variables in the same order."""
        return isinstance(other, VariableStore) and list(self) == list(other) and self.times == other.times

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __iter__(self) -> Iterator[Variable]:
        """In the order of GetNextVariableName."""
        for wanted in (0, EFI_VARIABLE_NON_VOLATILE):
            yield from [one for one in self._variables.values() if one.attributes & EFI_VARIABLE_NON_VOLATILE == wanted]

    def _visible(self, at_runtime: bool) -> list[Variable]:
        return [one for one in self if not at_runtime or one.attributes & EFI_VARIABLE_RUNTIME_ACCESS]

    def get_variable(self, name: str, vendor: Guid, *, at_runtime: bool = False) -> VariableResult:
        """GetVariable.

        Returns:
            EFI_NOT_FOUND: No such variable, or it is invisible after ExitBootServices.
        """
        variable = self._variables.get((vendor, name))
        if variable is None or (at_runtime and not variable.attributes & EFI_VARIABLE_RUNTIME_ACCESS):
            return VariableResult(EfiStatus.EFI_NOT_FOUND, None)
        return VariableResult(SUCCESS, variable)

    def get_next_variable_name(self, name: str, vendor: Guid, *, at_runtime: bool = False) -> VariableResult:
        """GetNextVariableName; an empty ``name`` asks for the first one.

        Returns:
            EFI_NOT_FOUND: It is the last one.
            EFI_INVALID_PARAMETER: No variable of that name and vendor.
        """
        visible = self._visible(at_runtime)
        position = 0
        if name:
            keys = [(one.vendor, one.name) for one in visible]
            if (vendor, name) not in keys:
                return VariableResult(_INVALID, None)
            position = keys.index((vendor, name)) + 1
        if position == len(visible):
            return VariableResult(EfiStatus.EFI_NOT_FOUND, None)
        return VariableResult(SUCCESS, visible[position])

    def set_variable(
        self, name: str, vendor: Guid, attributes: int, data: bytes, *, at_runtime: bool = False
    ) -> EfiStatus:
        """SetVariable: no data, or no access attributes, delete.

        Returns:
            EFI_INVALID_PARAMETER: No name; attributes that are unknown, that do not go together, that this firmware
                lacks, or that differ from the variable's; a name and data of more than 33,732 bytes; after
                ExitBootServices, a variable that is not both non-volatile and accessible at runtime.
            EFI_NOT_FOUND: No such variable to delete.
            EFI_WRITE_PROTECTED: The firmware's own; or, after ExitBootServices, a variable that cannot be seen then or
                is volatile.
            EFI_OUT_OF_RESOURCES: The store is full.
            EFI_UNSUPPORTED: The count-based authentication that UEFI has deprecated.
            EFI_SECURITY_VIOLATION: Time-based authentication: this firmware accepts no signature.
        """
        if not name or attributes & ~_KNOWN:
            return _INVALID
        if attributes & EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS:
            return EfiStatus.EFI_UNSUPPORTED
        if not _may_set(attributes) or _name_bytes(name) + len(data) > _MAXIMUM_BYTES:
            return _INVALID
        if attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS:
            return EfiStatus.EFI_SECURITY_VIOLATION
        if vendor == EFI_GLOBAL_VARIABLE_GUID and name in _READ_ONLY:
            return EfiStatus.EFI_WRITE_PROTECTED
        known = self._variables.get((vendor, name))
        if known is not None:
            return self._change(known, attributes, data, at_runtime)
        if not data and attributes & EFI_VARIABLE_APPEND_WRITE:
            return SUCCESS
        if not data or not attributes & _ACCESS:
            return EfiStatus.EFI_NOT_FOUND
        if at_runtime and attributes & _NV_BS_RT != _NV_BS_RT:
            return _INVALID
        return self._store(Variable(name, vendor, attributes & _NV_BS_RT, data), None)

    def replace(self, variable: Variable, time: bytes = b"") -> EfiStatus:
        """Set a variable whose caller has been authenticated, or delete it where it has no data.

        Returns:
            EFI_OUT_OF_RESOURCES: The store is full.
        """
        key = variable.vendor, variable.name
        known = self._variables.get(key)
        if not variable.data:
            self._variables.pop(key, None)
            self.times.pop(key, None)
            return SUCCESS
        status = self._store(variable, known)
        if status is SUCCESS and time:
            self.times[key] = time
        return status

    def _change(self, known: Variable, attributes: int, data: bytes, at_runtime: bool) -> EfiStatus:
        if at_runtime and not known.attributes & EFI_VARIABLE_RUNTIME_ACCESS:
            return EfiStatus.EFI_WRITE_PROTECTED
        append = bool(attributes & EFI_VARIABLE_APPEND_WRITE)
        if attributes and attributes & ~EFI_VARIABLE_APPEND_WRITE != known.attributes:
            return _INVALID
        if at_runtime and not known.attributes & EFI_VARIABLE_NON_VOLATILE:
            return EfiStatus.EFI_WRITE_PROTECTED
        if (not data and not append) or not attributes & _ACCESS:
            del self._variables[known.vendor, known.name]
            return SUCCESS
        if append:
            if _name_bytes(known.name) + len(known.data) + len(data) > _MAXIMUM_BYTES:
                return _INVALID
            data = known.data + data
        elif data == known.data:
            return SUCCESS
        return self._store(known._replace(data=data), known)

    def _store(self, variable: Variable, known: Variable | None) -> EfiStatus:
        free = self._free(variable.attributes) + (known.stored_bytes if known is not None else 0)
        if variable.stored_bytes > free:
            return EfiStatus.EFI_OUT_OF_RESOURCES
        self._variables.pop((variable.vendor, variable.name), None)
        self._variables[variable.vendor, variable.name] = variable
        return SUCCESS

    def query_variable_info(self, attributes: int, *, at_runtime: bool = False) -> VariableInfo:
        """QueryVariableInfo, of the volatile or the non-volatile variables.

        Returns:
            EFI_UNSUPPORTED: No known attribute, or one that this firmware lacks.
            EFI_INVALID_PARAMETER: No attribute; no boot-service access; a volatile hardware error record; after
                ExitBootServices, no runtime access.
        """
        if not attributes:
            return VariableInfo(_INVALID)
        if not attributes & _KNOWN or attributes & EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS:
            return VariableInfo(EfiStatus.EFI_UNSUPPORTED)
        if not attributes & EFI_VARIABLE_BOOTSERVICE_ACCESS:
            return VariableInfo(_INVALID)
        if at_runtime and not attributes & EFI_VARIABLE_RUNTIME_ACCESS:
            return VariableInfo(_INVALID)
        volatile = not attributes & EFI_VARIABLE_NON_VOLATILE
        if volatile and attributes & EFI_VARIABLE_HARDWARE_ERROR_RECORD:
            return VariableInfo(_INVALID)
        if attributes & EFI_VARIABLE_HARDWARE_ERROR_RECORD:
            return VariableInfo(EfiStatus.EFI_UNSUPPORTED)
        free = self._free(attributes)
        total = _VOLATILE_STORE_BYTES if volatile else _NV_STORE_BYTES
        return VariableInfo(SUCCESS, total, free, max(0, min(_MAXIMUM_BYTES, free - _HEADER_BYTES)))

    def _free(self, attributes: int) -> int:
        """Bytes that are free in the store that variables of these attributes go to."""
        kind = attributes & EFI_VARIABLE_NON_VOLATILE
        total = _NV_STORE_BYTES if kind else _VOLATILE_STORE_BYTES
        used = sum(
            one.stored_bytes for one in self._variables.values() if one.attributes & EFI_VARIABLE_NON_VOLATILE == kind
        )
        return max(0, total - used)


def _name_bytes(name: str) -> int:
    """Bytes of a name in the store, its terminator included."""
    return len(name.encode("utf-16-le", "surrogatepass")) + 2


def _may_set(attributes: int) -> bool:
    return (
        not attributes & EFI_VARIABLE_HARDWARE_ERROR_RECORD
        and attributes & _KNOWN != EFI_VARIABLE_NON_VOLATILE
        and attributes & _ACCESS != EFI_VARIABLE_RUNTIME_ACCESS
    )
