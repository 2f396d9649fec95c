"""What there is to be had today: mainline firmware accepts all below 4 GiB, and nobody accepts on demand."""

from __future__ import annotations

import pytest

from tdvfsh.accept.availability import Change, accept_sentence, change_needed, option_sentence
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES


@pytest.mark.parametrize(
    ("accept", "on_demand", "loader", "change"),
    [
        ("below-4g", "none", "direct", Change.TODAY),
        ("below-4g", "none", "grub2.12", Change.TODAY),
        ("512M", "none", "grub2.12", Change.FIRMWARE),
        ("presize", "none", "direct", Change.FIRMWARE),
        ("eager", "none", "direct", Change.FIRMWARE),
        ("below-4g", "allocator", "grub2.12", Change.FIRMWARE),
        ("below-4g", "loader", "grub2.12", Change.LOADER),
        ("below-4g", "loader-literal", "direct", Change.FIRMWARE),  # the loader is firmware's own
        ("512M", "loader", "sd-boot", Change.BOTH),
        ("below-4g", "service", "grub2.12", Change.BOTH),
        ("512M", "service", "direct", Change.FIRMWARE),
    ],
)
def test_each_setting_needs_the_change_where_it_acts(accept: str, on_demand: str, loader: str, change: Change) -> None:
    assert change_needed(accept, on_demand, loader) is change


def test_every_option_but_none_says_that_it_is_not_there() -> None:
    for name in ON_DEMAND_NAMES:
        assert bool(option_sentence(name)) == (name != "none")
        assert name == "none" or option_sentence(name).startswith(name)
    assert "what mainline firmware does" in accept_sentence("below-4g")
    assert "no setting of mainline firmware" in accept_sentence("300M")
    assert "accept_memory=eager" in accept_sentence("eager")
