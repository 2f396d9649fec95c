"""The rules of the variable services, and that going back brings every variable back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.dxe.variables import (
    EFI_VARIABLE_APPEND_WRITE,
    EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS,
    EFI_VARIABLE_BOOTSERVICE_ACCESS,
    EFI_VARIABLE_HARDWARE_ERROR_RECORD,
    EFI_VARIABLE_NON_VOLATILE,
    EFI_VARIABLE_RUNTIME_ACCESS,
    EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS,
    Variable,
    VariableStore,
)
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.machine.snapshot import same
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID, SHELL_VARIABLE_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

NV, BS, RT = EFI_VARIABLE_NON_VOLATILE, EFI_VARIABLE_BOOTSERVICE_ACCESS, EFI_VARIABLE_RUNTIME_ACCESS
APPEND = EFI_VARIABLE_APPEND_WRITE
COUNTED, TIMED = EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS, EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS
VENDOR = SHELL_VARIABLE_GUID
INVALID = EfiStatus.EFI_INVALID_PARAMETER
NOT_FOUND = EfiStatus.EFI_NOT_FOUND
PROTECTED = EfiStatus.EFI_WRITE_PROTECTED

Change = tuple[str, Guid, int, bytes, bool]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C", ""]),
        st.sampled_from([VENDOR, EFI_GLOBAL_VARIABLE_GUID]),
        st.sampled_from([0, BS, NV | BS, BS | RT, NV | BS | RT, BS | APPEND, RT, 0x80]),
        st.binary(max_size=3),
        st.booleans(),
    ),
    max_size=12,
)


def store_with(*variables: tuple[str, int]) -> VariableStore:
    """A store of variables with the value 1, and nothing of the firmware's."""
    return VariableStore(tuple(Variable(name, VENDOR, attributes, b"1") for name, attributes in variables))


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        (BS, SUCCESS),
        (NV | BS | RT, SUCCESS),
        (NV, INVALID),
        (0, NOT_FOUND),
        (RT, INVALID),
        (NV | RT, INVALID),
        (BS | 0x80, INVALID),
        (BS | EFI_VARIABLE_HARDWARE_ERROR_RECORD, INVALID),
        (NV | BS | COUNTED, EfiStatus.EFI_UNSUPPORTED),
        (RT | COUNTED, EfiStatus.EFI_UNSUPPORTED),
        (NV | BS | RT | TIMED, EfiStatus.EFI_SECURITY_VIOLATION),
        (NV | BS | COUNTED | TIMED, EfiStatus.EFI_UNSUPPORTED),
    ],
)
def test_a_new_variable_needs_attributes_that_go_together(attributes: int, status: EfiStatus) -> None:
    assert store_with().set_variable("V", VENDOR, attributes, b"1") is status


def test_a_variable_is_rewritten_with_its_own_attributes_only() -> None:
    store = store_with(("V", NV | BS))
    assert store.set_variable("V", VENDOR, NV | BS | RT, b"2") is INVALID
    assert store.set_variable("V", VENDOR, NV | BS, b"2") is SUCCESS
    assert store.get_variable("V", VENDOR).variable == Variable("V", VENDOR, NV | BS, b"2")
    assert store.set_variable("V", VENDOR, BS, b"") is INVALID
    assert store.set_variable("V", VENDOR, 0, b"3") is SUCCESS
    assert store.get_variable("V", VENDOR).status is NOT_FOUND


def test_appending_keeps_what_was_there_and_nothing_appended_changes_nothing() -> None:
    store = store_with(("V", BS))
    assert store.set_variable("V", VENDOR, BS | APPEND, b"2") is SUCCESS
    assert store.set_variable("V", VENDOR, BS | APPEND, b"") is SUCCESS
    assert store.set_variable("W", VENDOR, BS | APPEND, b"") is SUCCESS
    assert list(store) == [Variable("V", VENDOR, BS, b"12")]


def test_after_exit_boot_services_only_non_volatile_runtime_variables_can_be_set() -> None:
    store = store_with(("boot", NV | BS), ("volatile", BS | RT), ("both", NV | BS | RT))

    def setting(name: str, attributes: int) -> EfiStatus:
        return store.set_variable(name, VENDOR, attributes, b"2", at_runtime=True)

    assert setting("boot", NV | BS) is PROTECTED
    assert setting("volatile", BS | RT) is PROTECTED
    assert setting("both", NV | BS | RT) is SUCCESS
    assert setting("new", BS | RT) is INVALID
    assert setting("new", NV | BS) is INVALID
    assert setting("new", NV | BS | RT) is SUCCESS
    assert store.set_variable("both", VENDOR, NV | BS | RT, b"", at_runtime=True) is SUCCESS
    assert store.get_variable("boot", VENDOR, at_runtime=True).status is NOT_FOUND
    assert store.get_variable("boot", VENDOR).status is SUCCESS


def test_names_come_volatile_ones_first_and_at_runtime_those_that_can_be_seen() -> None:
    store = store_with(("a", NV | BS), ("b", BS), ("c", NV | BS | RT), ("d", BS | RT))

    def names(at_runtime: bool) -> list[str]:
        found: list[str] = []
        result = store.get_next_variable_name("", VENDOR, at_runtime=at_runtime)
        while result.variable is not None:
            found.append(result.variable.name)
            result = store.get_next_variable_name(found[-1], VENDOR, at_runtime=at_runtime)
        assert result.status is NOT_FOUND
        return found

    assert names(False) == ["b", "d", "a", "c"]
    assert names(True) == ["d", "c"]
    assert store.get_next_variable_name("nosuch", VENDOR).status is INVALID
    assert store.get_next_variable_name("a", VENDOR, at_runtime=True).status is INVALID


def test_the_firmware_s_own_variables_can_be_read_only() -> None:
    store = VariableStore()
    for name in ("PlatformLangCodes", "SecureBoot", "SetupMode"):
        assert store.set_variable(name, EFI_GLOBAL_VARIABLE_GUID, BS | RT, b"9") is PROTECTED
    assert store.set_variable("PlatformLang", EFI_GLOBAL_VARIABLE_GUID, NV | BS | RT, b"de\0") is SUCCESS
    assert store.set_variable("Timeout", EFI_GLOBAL_VARIABLE_GUID, BS | RT, b"\5\0") is INVALID


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        (0, INVALID),
        (0x100, EfiStatus.EFI_UNSUPPORTED),
        (NV, INVALID),
        (RT, INVALID),
        (NV | RT, INVALID),
        (BS | EFI_VARIABLE_HARDWARE_ERROR_RECORD, INVALID),
        (NV | BS | EFI_VARIABLE_HARDWARE_ERROR_RECORD, EfiStatus.EFI_UNSUPPORTED),
        (NV | BS | COUNTED, EfiStatus.EFI_UNSUPPORTED),
        (RT | COUNTED, EfiStatus.EFI_UNSUPPORTED),
        (COUNTED, EfiStatus.EFI_UNSUPPORTED),
        (NV | BS | RT | TIMED, SUCCESS),
        (BS, SUCCESS),
        (NV | BS | RT, SUCCESS),
    ],
)
def test_query_variable_info_refuses_attributes_that_do_not_go_together(attributes: int, status: EfiStatus) -> None:
    info = VariableStore().query_variable_info(attributes)
    assert info.status is status
    assert (info.maximum_variable_size > 0) is (status is SUCCESS)


def test_query_variable_info_needs_runtime_access_after_exit_boot_services() -> None:
    assert VariableStore().query_variable_info(NV | BS, at_runtime=True).status is INVALID
    assert VariableStore().query_variable_info(NV | BS | RT, at_runtime=True).status is SUCCESS


def test_what_is_left_shrinks_by_header_name_and_data_and_the_store_fills_up() -> None:
    store = store_with()
    before = store.query_variable_info(NV | BS)
    assert store.set_variable("V", VENDOR, NV | BS, b"12345") is SUCCESS
    after = store.query_variable_info(NV | BS)
    assert before.remaining_variable_storage_size - after.remaining_variable_storage_size == 60 + 4 + 8
    assert store.query_variable_info(BS) == store_with().query_variable_info(BS)
    data = bytes(after.maximum_variable_size - 10)
    assert store.set_variable("W" * 5, VENDOR, NV | BS, data) is INVALID
    numbers = iter(range(100))
    while (status := store.set_variable(f"{next(numbers):04}", VENDOR, NV | BS, data)) is SUCCESS:
        pass
    assert status is EfiStatus.EFI_OUT_OF_RESOURCES
    assert store.set_variable("0000", VENDOR, NV | BS, data[1:] + b"1") is SUCCESS


def test_the_next_start_keeps_non_volatile_variables_and_sets_the_firmware_s_own_again() -> None:
    store = VariableStore()
    store.set_variable("kept", VENDOR, NV | BS, b"1")
    store.set_variable("lost", VENDOR, BS, b"1")
    store.set_variable("PlatformLang", EFI_GLOBAL_VARIABLE_GUID, NV | BS | RT, b"de\0")
    names = {one.name: one.data for one in store.restart()}
    assert names["kept"] == b"1"
    assert names["PlatformLang"] == b"de\0"
    assert names["SecureBoot"] == b"\0"
    assert "lost" not in names


@given(CHANGES, CHANGES)
def test_a_snapshot_brings_back_every_variable_in_its_order(before: list[Change], after: list[Change]) -> None:
    machine = Machine(TdOptions(memory=256 << 20))
    change(machine, before)
    expected = list(machine.services.core.variables)
    snapshot = machine.snapshot()
    change(machine, after)
    changed = list(machine.services.core.variables) != expected
    assert same(machine.services.core.variables, snapshot.core.variables) is not changed
    assert machine.snapshot(snapshot).is_state_of(snapshot) is not changed
    machine.restore(snapshot)
    assert list(machine.services.core.variables) == expected
    change(machine, after)
    assert list(snapshot.core.variables) == expected


def change(machine: Machine, changes: list[Change]) -> None:
    """Set and delete."""
    for name, vendor, attributes, data, at_runtime in changes:
        machine.services.core.variables.set_variable(name, vendor, attributes, data, at_runtime=at_runtime)
