"""PK, KEK, db, dbx, dbt: where they come from, and what stands in them.

Source: UEFI 2.10 chapter 32; edk2 SecurityPkg/Library/AuthVariableLib (SetupMode and SecureBoot follow PK).
"""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.dxe.variables import (
    EFI_VARIABLE_BOOTSERVICE_ACCESS,
    EFI_VARIABLE_NON_VOLATILE,
    EFI_VARIABLE_RUNTIME_ACCESS,
    EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS,
    Variable,
    VariableStore,
)
from tdvfsh.formats.signature_lists import Signature, parse_signature_lists
from tdvfsh.lazy_typing import Final, NamedTuple, Protocol
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID, SHIM_LOCK_GUID, Guid

EFI_IMAGE_SECURITY_DATABASE_GUID: Final = Guid("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
_OF_GLOBAL: Final = frozenset({"PK", "KEK"})
KEY_VARIABLES: Final = ("PK", "KEK", "db", "dbx", "dbt")
"""Names of the variables that hold keys and hashes."""
MOK_VARIABLES: Final = ("MokList", "MokListX")
"""Names of those that shim reads beside them."""
_ACCESS: Final = EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS
_MOK_ATTRIBUTES: Final = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS
_ATTRIBUTES: Final = EFI_VARIABLE_NON_VOLATILE | _ACCESS | EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS


class NamedData(Protocol):
    """A variable as a firmware file or a store has it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def vendor(self) -> Guid:
        """Its namespace."""
        ...

    @property
    def data(self) -> bytes:
        """Its value."""
        ...


class Databases(NamedTuple):
    """What image verification reads: what is allowed, what is forbidden, and who is trusted for time stamps."""

    db: tuple[Signature, ...]
    dbx: tuple[Signature, ...]
    dbt: tuple[Signature, ...] = ()


def vendor_of(name: str) -> Guid:
    """The namespace of one of :data:`KEY_VARIABLES` or :data:`MOK_VARIABLES`."""
    if name in MOK_VARIABLES:
        return SHIM_LOCK_GUID
    return EFI_GLOBAL_VARIABLE_GUID if name in _OF_GLOBAL else EFI_IMAGE_SECURITY_DATABASE_GUID


def enrolled(variables: Iterable[NamedData]) -> dict[str, bytes]:
    """The key variables among some, by name; nothing where there is no PK: then firmware is in setup mode."""
    found = {
        one.name: one.data
        for one in variables
        if one.name in KEY_VARIABLES and one.vendor == vendor_of(one.name) and one.data
    }
    return found if "PK" in found else {}


def enroll(store: VariableStore, keys: dict[str, bytes]) -> VariableStore:
    """A store with these keys, in user mode with Secure Boot on, as firmware leaves it at its next start."""
    made = {(one.vendor, one.name): one for one in store}
    for name, data in keys.items():
        vendor = vendor_of(name)
        attributes = _MOK_ATTRIBUTES if name in MOK_VARIABLES else _ATTRIBUTES
        made[vendor, name] = Variable(name, vendor, attributes, data)
    for name, value in (("SecureBoot", 1), ("SetupMode", 0)):
        made[EFI_GLOBAL_VARIABLE_GUID, name] = Variable(name, EFI_GLOBAL_VARIABLE_GUID, _ACCESS, bytes((value,)))
    return VariableStore(tuple(made.values()))


def databases(store: VariableStore) -> Databases | None:
    """The databases in force; None where Secure Boot is off."""
    values = {one.name: one.data for one in store if one.name in KEY_VARIABLES and one.vendor == vendor_of(one.name)}
    on = any(one.name == "SecureBoot" and one.vendor == EFI_GLOBAL_VARIABLE_GUID and one.data == b"\1" for one in store)
    if not on:
        return None
    return Databases(*(tuple(parse_signature_lists(values.get(name, b""))) for name in ("db", "dbx", "dbt")))
