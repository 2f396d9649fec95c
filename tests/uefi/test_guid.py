"""GUIDs, held against the standard library's."""

from __future__ import annotations

import copy
import pickle
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.uefi.guid import Guid


@given(st.uuids(), st.uuids())
def test_a_guid_is_what_the_standard_librarys_is(one: UUID, other: UUID) -> None:
    ours, theirs = Guid(str(one)), Guid(bytes_le=other.bytes_le)
    assert (str(ours), ours.bytes_le, hash(ours), ours.number) == (str(one), one.bytes_le, hash(one), one.int)
    assert (str(theirs), theirs.bytes_le, hash(theirs), theirs.number) == (
        str(other), other.bytes_le, hash(other), other.int,
    )  # fmt: skip
    assert (ours == theirs, ours != theirs, ours < theirs, ours > theirs) == (
        one == other, one != other, one < other, one > other,
    )  # fmt: skip
    assert ours == Guid(bytes_le=bytearray(one.bytes_le)) == Guid(bytes_le=memoryview(one.bytes_le))  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(ours)) == copy.copy(ours) == copy.deepcopy(ours) == ours
    assert repr(ours) == f"Guid('{one}')"
    assert ours != str(one)
    assert ours == one == ours
    assert one in {ours}


@given(st.uuids(), st.sampled_from(["{%s}", "urn:uuid:%s", "%s"]), st.booleans(), st.booleans())
def test_every_spelling_is_read(one: UUID, form: str, capital: bool, dashes: bool) -> None:
    text = str(one) if dashes else one.hex
    text = form % (text.upper() if capital else text)
    assert str(Guid(text)) == str(UUID(text))


@pytest.mark.parametrize("text", ["", "5b1b31a1", "5b1b31a1-9562-11d2-8e3f-00a0c96972", "g" * 32, "5b1b31a1-9562" * 3])
def test_what_is_not_a_guid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        UUID(text)
    with pytest.raises(ValueError, match=r"."):
        Guid(text)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_only_16_bytes_are_a_guid(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Guid(bytes_le=bytes(size))
    with pytest.raises(ValueError, match="16 bytes"):
        Guid()
