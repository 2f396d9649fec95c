"""The scripts of the flow study's scenarios and of failures that users reported, each with its outcome."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.test_main import run

SCRIPTS = Path(__file__).parents[2] / "scripts"
BOOTS = "the kernel has left boot services: EFI_SUCCESS"
WITHOUT_INITRD = "the kernel has left boot services, without its initrd: EFI_SUCCESS"
OPTIONS = ("none", "allocator", "loader-literal", "loader", "service")
NO_ROOM = "EFI_OUT_OF_RESOURCES at"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image cache with nothing fetched."""
    return str(tmp_path_factory.mktemp("cache"))


def sections(name: str, cache: str) -> dict[str, str]:
    """What a script prints, by its headings; lines that were wrapped are joined again."""
    done = run("run", str(SCRIPTS / f"{name}.nsh"), XDG_CACHE_HOME=cache)
    assert done.stderr == ""
    head, *parts = re.split(r"^=== (.*)$", done.stdout, flags=re.MULTILINE)
    texts = [re.sub(r"\n {8,}", " ", text) for text in parts[1::2]]
    return {"": head, **dict(zip(parts[::2], texts, strict=True))}


def result(text: str) -> str:
    """The outcome of the first boot of a section."""
    found = re.search(r"^result +(.*)$", text, re.MULTILINE)
    assert found is not None, text
    return found[1]


def on_demand(text: str) -> str:
    """What was accepted on demand."""
    found = re.search(r"\+ (.*?) on demand", text)
    assert found is not None, text
    return found[1]


DIRECT = {
    # MiB of initrd: outcome and bytes on demand under none, allocator, loader-literal, loader, service
    100: ((BOOTS, "0 B"),) * 5,
    300: (
        (f"{NO_ROOM} load_initrd", "0 B"),
        (BOOTS, "320 MiB"),
        (f"{NO_ROOM} load_initrd", "0 B"),
        (BOOTS, "356 MiB"),
        (BOOTS, "300 MiB"),
    ),
    360: (
        (f"{NO_ROOM} load_kernel", "0 B"),
        (f"{NO_ROOM} load_kernel", "0 B"),
        (f"{NO_ROOM} load_kernel", "0 B"),
        (BOOTS, "416 MiB"),
        (BOOTS, "416 MiB"),
    ),
    424: (
        (f"{NO_ROOM} load_image", "0 B"),
        (f"{NO_ROOM} load_kernel", "32 MiB"),
        (f"{NO_ROOM} load_kernel", "11.56 MiB"),
        (BOOTS, "503.12 MiB"),
        (BOOTS, "491.56 MiB"),
    ),
    435: (
        ("EFI_NOT_FOUND at load_image", "0 B"),
        (f"{NO_ROOM} load_kernel", "32 MiB"),
        ("EFI_NOT_FOUND at load_image", "0 B"),
        (BOOTS, "536.46 MiB"),
        (BOOTS, "513.73 MiB"),
    ),
    450: (
        (f"{NO_ROOM} fetch_blobs", "0 B"),
        (BOOTS, "960 MiB"),
        (f"{NO_ROOM} fetch_blobs", "0 B"),
        (BOOTS, "900.00 MiB"),
        (BOOTS, "900.00 MiB"),
    ),
}


def test_scenarios_1_to_6_direct_boot_fails_step_by_step_and_option_1_helps_only_at_both_ends(cache: str) -> None:
    found = sections("scenario-direct", cache)
    for initrd, outcomes in DIRECT.items():
        for option, outcome in zip(OPTIONS, outcomes, strict=True):
            text = found[f"{initrd} MiB, on demand: {option}"]
            assert (result(text), on_demand(text)) == outcome, (initrd, option)


def test_scenarios_7_and_8_grub_2_12_fits_300_mib_and_needs_an_option_for_400(cache: str) -> None:
    found = sections("scenario-grub-2.12", cache)
    for option in ("none", "allocator", "service"):
        text = found[f"300 MiB, on demand: {option}"]
        assert (result(text), on_demand(text)) == (BOOTS, "0 B")
    assert result(found["400 MiB, on demand: none"]) == f"{NO_ROOM} load_initrd"
    for option, accepted in (("allocator", "416 MiB"), ("service", "400 MiB")):
        text = found[f"400 MiB, on demand: {option}"]
        assert (result(text), on_demand(text)) == (BOOTS, accepted)


def test_scenario_9_grub_2_06_starts_the_kernel_without_an_initrd_that_its_heap_cannot_hold(cache: str) -> None:
    found = sections("scenario-grub-2.06", cache)
    assert result(found["60 MiB"]) == BOOTS
    for option in ("none", "allocator", "loader-literal"):
        text = found[f"90 MiB, on demand: {option}"]
        assert result(text) == WITHOUT_INITRD
        assert "the heap of 115.16 MiB was sized when GRUB started" in text
    for option in ("loader", "service"):
        assert result(found[f"90 MiB, on demand: {option}"]) == BOOTS


def test_scenario_11_a_uki_of_100_mib_boots_and_one_of_120_needs_128_more(cache: str) -> None:
    found = sections("scenario-uki", cache)
    for option in ("none", "allocator", "service"):
        text = found[f"100 MiB, on demand: {option}"]
        assert (result(text), on_demand(text)) == (BOOTS, "0 B")
    assert result(found["120 MiB, on demand: none"]) == f"{NO_ROOM} load_initrd"
    for option, accepted in (("allocator", "128 MiB"), ("service", "120 MiB")):
        text = found[f"120 MiB, on demand: {option}"]
        assert (result(text), on_demand(text)) == (BOOTS, accepted)


def test_scenario_12_laziness_alone_makes_this_boot_fail_whatever_the_option(cache: str) -> None:
    found = sections("scenario-fragmentation", cache)
    assert result(found["accepted at boot: all"]) == BOOTS
    for option in ("none", "allocator", "loader", "service"):
        assert result(found[f"accepted at boot: 512M, on demand: {option}"]).startswith(NO_ROOM)
    assert "never joins memory accepted at boot" in found["accepted at boot: 512M, on demand: service"]


def test_scenario_13_kaslr_decides_whether_150_mib_fit_and_option_1_rescues_all(cache: str) -> None:
    found = sections("scenario-kaslr", cache)
    seeds = [title for title in found if title.startswith("seed")]
    first = [re.findall(r"^result +(.*)$", found[title], re.MULTILINE) for title in seeds]
    assert {outcomes[0] for outcomes in first} == {BOOTS, f"{NO_ROOM} load_initrd"}
    assert {outcomes[1] for outcomes in first} == {BOOTS}
    assert result(found["nokaslr"]) == BOOTS


def test_scenario_14_qemu_refuses_an_initrd_larger_than_ram(cache: str) -> None:
    text = sections("scenario-qemu-limit", cache)[""]
    assert "QEMU does not start: the initrd of 600 MiB is too large, it must be smaller than 536,707,071 bytes" in text
    assert "lasterror 0x2" in text


def test_scenario_15_who_does_not_know_unaccepted_memory_owns_2_of_8_gib(cache: str) -> None:
    found = sections("no-unaccepted-memory", cache)
    assert "6 GiB left to the OS" in found["a kernel with unaccepted memory, at exit: none"]
    for title in ("a kernel without unaccepted memory, at exit: none", "GRUB 2.06"):
        assert result(found[title]) == BOOTS
        assert "6 GiB of RAM are lost" in found[title]
    objected = found["a kernel with unaccepted memory, at exit: unless-objected"]
    accepted = found["a kernel without unaccepted memory, at exit: unless-objected"]
    assert on_demand(objected) == "0 B"
    assert on_demand(accepted) == "6 GiB"
    assert "lost" not in accepted


def test_scenario_16_64_gib_unaccepted_take_a_page_of_bitmap_and_a_header(cache: str) -> None:
    text = sections("scenario-bitmap", cache)[""]
    start, end = re.search(r"unaccepted_table +0x(\w+) +0x(\w+)", text).groups()  # type: ignore[union-attr]
    assert int(end, 16) - int(start, 16) == 4096 + 24
    assert "64 GiB left to the OS" in re.sub(r"\n +", " ", text)
    placed = [int(address, 16) for address in re.findall(r"^\w[\w -]+ 0x(\w+)", text, re.MULTILINE)]
    assert len(placed) > 5
    assert max(placed) < 1 << 32


def test_scenario_17_the_five_stages_of_the_ladder(cache: str) -> None:
    found = sections("scenario-ladder", cache)
    rungs = {
        title: {stage: int(size) for stage, size in re.findall(r"^(\w+) +(\d+) MiB", text, re.MULTILINE)}
        for title, text in found.items()
    }
    direct = rungs["direct"]
    # Predicted for a plain guest and moved by what firmware takes less, or more, in a TD: 10, 15 and -10 MiB.
    for stage, predicted in {"initrd_file": 110, "image": 134, "kernel": 198, "boots": 237}.items():
        assert abs(direct[stage] - predicted) <= 4
    for stage, predicted in {"image": 119, "kernel": 183, "boots": 222}.items():
        assert abs(rungs["grub2.12-debian"][stage] - predicted) <= 4
    for stage, recorded in {"image": 138, "kernel": 194, "boots": 234}.items():
        assert abs(rungs["direct, OvmfPkgX64 2025.02"][stage] - recorded) <= 4
    assert "Not monotone: boots" in found["direct, with option 1 and an initrd of 400 MiB: not monotone"]


def test_scenario_18_no_option_cures_a_signature_that_is_refused(cache: str) -> None:
    found = sections("scenario-secure-boot", cache)
    for option in ("none", "allocator", "loader", "service"):
        text = found[f"on demand: {option}"]
        assert re.match("EFI_ACCESS_DENIED at load_image", result(text))
        assert on_demand(text) == "0 B"


def _seconds(text: str) -> float:
    """The likely time of the accept at boot."""
    found = re.search(r"at boot \(modelled [^)]*likely\s+([\d.]+)\s+(s|ms)", text)
    assert found is not None
    return float(found[1]) * (0.001 if found[2] == "ms" else 1)


def test_a_td_of_64_gib_accepted_at_once_starts_minutes_later_on_a_host_of_small_pages(cache: str) -> None:
    found = sections("eager-64g", cache)
    times = {title: _seconds(text) for title, text in found.items() if title}
    for vcpus in (1, 64):
        for host in ("kvm-2m", "kvm-4k"):
            of_machine = f"{vcpus} vCPUs, host {host}"
            assert times[f"accept eager, {of_machine}"] > 20 * times[f"accept below-4g, {of_machine}"]
    assert times["accept eager, 1 vCPUs, host kvm-4k"] > 120
    assert times["accept below-4g, 1 vCPUs, host kvm-2m"] < 1
    assert "2 GiB used by 64 vCPUs" in found["accept below-4g, 64 vCPUs, host kvm-4k"]


def test_137_mib_fit_grub_2_12_in_512_mib_and_grub_2_06_in_1_gib(cache: str) -> None:
    found = sections("grub-137m", cache)
    outcomes = {title: result(text) for title, text in found.items() if title}
    assert outcomes == {
        "grub2.06, accepted 300M": WITHOUT_INITRD,
        "grub2.06, accepted 512M": WITHOUT_INITRD,
        "grub2.06, accepted 1G": BOOTS,
        "grub2.12, accepted 300M": f"{NO_ROOM} load_initrd",
        "grub2.12, accepted 512M": BOOTS,
        "grub2.12, accepted 1G": BOOTS,
    }


def test_a_host_of_4_kib_pages_costs_thirty_times_the_modelled_time_and_the_same_bytes(cache: str) -> None:
    found = sections("host-4k", cache)
    large, small = found["host kvm-2m"], found["host kvm-4k"]
    assert on_demand(large) == on_demand(small) == "300 MiB"
    assert _seconds(small) > 20 * _seconds(large)
    assert "255 accepts of 2 MiB ended with PAGE_SIZE_MISMATCH" in small
    assert "516 TDCALLs (512 x 4K, 3 x 2M)" in found["one such page on a host of 2 MiB pages, by way of a fault"]
    busy = found["a busy page: three times is survived, four times is not"]
    assert "4 MiB newly accepted in 5 TDCALLs" in busy
    assert "ended with OPERAND_BUSY" in busy
    assert "lasterror 0x7" in busy


def test_a_vmm_that_makes_no_progress_is_given_up_on_after_three_answers(cache: str) -> None:
    found = sections("mapgpa-retry", cache)
    assert "4 MiB private: 2 MapGPA, 4 MiB accepted" in found["converted and back"]
    assert "4 MiB shared: 4 MapGPA, 2 RETRY" in found["two RETRY"]
    assert "Device Error - 3 MapGPA, 3 RETRY" in found["three RETRY"]
    assert "lasterror 0x7" in found["three RETRY"]


def test_the_rfc_author_s_own_code_boots_small_and_huge_initrds_but_not_multiples_of_32_mib(cache: str) -> None:
    found = sections("scenario-rfc", cache)
    built = {title.split(",")[0]: text for title, text in found.items() if "what its author built" in title}
    boots = {size for size, text in built.items() if result(text) == BOOTS}
    assert boots == {"40M", "200M", "342M", "429M", "600M"}
    assert result(built["343M"]) == f"{NO_ROOM} load_kernel"
    assert "it needs 448 MiB and 40 bytes in one piece" in built["448M"]
    assert "157,384 pages of 4 KiB were shared for DMA and accepted again" in built["600M"]
    others = {title.rpartition(": ")[2]: text for title, text in found.items() if "other ways" in title}
    assert {name for name, text in others.items() if result(text) == BOOTS} == {"loader", "service"}
    taken = [text for title, text in found.items() if "what edk2 took" in title]
    assert [result(text) for text in taken] == [BOOTS, BOOTS]
