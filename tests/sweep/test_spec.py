"""Specs: what they say, and what they say wrongly."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from tdvfsh.errors import FormatError, HostError, UsageError
from tdvfsh.images.catalogue import find_entry
from tdvfsh.images.fetch import FetchedImage, fetch
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.machine.options import TdOptions
from tdvfsh.sweep.axes import AXES, AXIS_NAMES, default_point, names_file, options_at, point_of
from tdvfsh.sweep.images import read_images
from tdvfsh.sweep.library import run_spec
from tdvfsh.sweep.spec import read_spec
from tdvfsh.sweep.store import read_results
from tdvfsh.units import GIB, MIB
from tests.images.packages import deb_of
from tests.sweep.conftest import MADE, SpecFile


def test_a_grid_is_every_combination_and_made_images_are_every_combination_of_their_sizes(spec_file: SpecFile) -> None:
    spec = read_spec(spec_file())
    assert [image.name for image in spec.images] == ["cloud initrd_size=40M", "cloud initrd_size=300M"]
    (grid,) = spec.grids
    assert len(grid) == len(list(grid)) == 2 * 2 * 5 * 2 * 2
    accepts = list(dict.fromkeys(point[AXIS_NAMES.index("accept")] for _, point in grid))
    assert accepts == ["48M", "128M", "192M", "256M", "below-4g"]


def test_by_start_all_scenarios_come_once_and_those_of_a_start_and_of_all_but_the_option_in_a_row(
    spec_file: SpecFile,
) -> None:
    (grid,) = read_spec(spec_file()).grids
    ran = list(grid.by_start())
    assert sorted(ran) == sorted(grid)
    loader, option = AXIS_NAMES.index("loader"), AXIS_NAMES.index("on_demand")
    starts = [tuple(value for at, value in enumerate(point) if at not in (loader, option)) for _, point in ran]
    assert len([one for one, _ in groupby(starts)]) == len(set(starts)) == 2 * 5
    pairs = [(image, point[:option], point[option + 1 :]) for image, point in ran]
    assert len([one for one, _ in groupby(pairs)]) == len(set(pairs)) == len(ran) // 2
    assert [point[option] for _, point in ran] == ["service", "none"] * (len(ran) // 2)


def test_without_a_grid_the_command_lines_defaults_are_run(spec_file: SpecFile) -> None:
    (grid,) = read_spec(spec_file(MADE)).grids
    assert [point for _, point in grid] == [default_point()] * 2
    assert options_at(default_point()) == TdOptions()
    assert point_of(options_at(default_point())) == default_point()


def test_one_size_written_in_two_ways_and_two_grids_that_overlap_give_each_scenario_once(
    spec_file: SpecFile, tmp_path: Path
) -> None:
    text = MADE + '[[grid]]\naccept = ["0.5G", "512M", "presize:0.5G", "presize"]\n[[grid]]\naccept = ["512M", "1G"]\n'
    rows = run_spec(spec_file(text), tmp_path / "results")
    images = list(dict.fromkeys(row["image"] for row in rows))
    assert [row["accept"] for row in rows if row["image"] == images[0]] == ["512M", "presize:512M", "1G"]
    assert len({row["key"] for row in rows}) == len(rows) == 6
    assert len(read_results(tmp_path / "results")) == 6


def test_paths_count_from_the_specs_folder_and_an_initrd_may_be_a_mere_size(
    spec_file: SpecFile, tmp_path: Path
) -> None:
    make_kernel(tmp_path / "vmlinuz", 12 * MIB, 56 * MIB)
    make_initrd(tmp_path / "initrd", 3 * MIB)
    text = '[[image]]\nkernel = "vmlinuz"\ninitrd = ["initrd", { size = "6G" }]\n'
    (facts,) = read_images(read_spec(spec_file(text)).images)
    assert facts.name == "vmlinuz + initrd + 6G"
    assert facts.initrds == (("initrd", 3 * MIB), ("6G", 6 * GIB))
    assert facts.kernel.size == 12 * MIB


def _fetch_made_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kernel, deb = tmp_path / "made", tmp_path / "linux.deb"
    make_kernel(kernel, 1 * MIB, 8 * MIB)
    deb.write_bytes(deb_of({"boot/vmlinuz-6.12.1-cloud-amd64": kernel.read_bytes()}, "linux-image-6.12.1-cloud-amd64"))
    fetch("kernel-6.12-cloud", deb=deb)


def test_fetched_images_go_by_their_names(spec_file: SpecFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fetch_made_kernel(tmp_path, monkeypatch)
    text = '[[image]]\nkernel = { fetched = "kernel-6.12-cloud" }\ninitrd = [{ size = 0x3000000 }, "a/b"]\n'
    (request,) = read_spec(spec_file(text)).images
    assert request.name == "kernel-6.12-cloud + 48M + b"
    assert request.kernel == tmp_path / "cache/tdvfsh/images/kernel-6.12-cloud/vmlinuz"


@pytest.mark.parametrize(
    ("kernel", "initrd", "complaint"),
    [
        ("kernel-6.12", "installer-13", "image 1: kernel-6.12 is not here: tdvfsh images fetch kernel-6.12"),
        ("kernel-6.12-cloud", "kernel-6.12-cloud", "image 1: kernel-6.12-cloud holds no initrd; it has kernel"),
        ("kernel-0", "installer-13", "kernel-0"),
    ],
)
def test_what_was_not_fetched_or_holds_something_else_is_named(
    spec_file: SpecFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str, initrd: str, complaint: str
) -> None:
    _fetch_made_kernel(tmp_path, monkeypatch)
    text = f'[[image]]\nkernel = {{ fetched = "{kernel}" }}\ninitrd = {{ fetched = "{initrd}" }}\n'
    with pytest.raises((HostError, UsageError)) as raised:
        read_spec(spec_file(text))
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_fleet_that_comes_along_is_ten_thousand_boots_of_images_that_can_be_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def as_if_fetched(name: str) -> FetchedImage:
        roles = [member.role for member in find_entry(name).members]
        return FetchedImage(name, "", "", "", {role: Path(name, role) for role in roles}, {}, {})

    monkeypatch.setattr("tdvfsh.images.fetch.fetched", as_if_fetched)
    spec = read_spec(Path(__file__).parents[2] / "scripts/fleet.toml")
    kernels = ["installer-13", "kernel-6.1", "kernel-6.12", "kernel-6.12-cloud", "kernel-7-cloud"]
    assert [image.name.split(" + ")[0] for image in spec.images] == kernels
    assert spec.images[0].name == "installer-13"
    assert {image.initrds for image in spec.images} == {(Path("installer-13/initrd"),)}
    assert sum(map(len, spec.grids)) == 10_080


def test_a_grid_may_name_the_images_it_is_for(spec_file: SpecFile) -> None:
    spec = read_spec(spec_file(MADE + '[[grid]]\nimage = "cloud initrd_size=300M"\n'))
    assert [image for image, _ in spec.grids[0]] == [1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no images"),
        ("[[grids]]\n", "'grids' is unknown; there are grid, image, made"),
        ('[[image]]\nkernal = "x"\n', "image 1: 'kernal' is unknown"),
        ("[[image]]\n", "image 1: kernel is missing"),
        ('[[image]]\nkernel = "x"\ninitrd = 5\n', "an initrd is a path, {"),
        ('[[made]]\nkernel_size = "12M"\n', "made 1: init_size is missing"),
        ('[[made]]\nkernel_size = "12M"\ninit_size = "much"\n', "init_size: 'much' is not a size"),
        (MADE + MADE, "two images are called cloud initrd_size=40M"),
        (MADE + "[[grid]]\nmemroy = 1\n", "grid 1: 'memroy' is unknown"),
        (MADE + '[[grid]]\nloader = "lilo"\n', "grid 1: loader: lilo: unknown; choose one of direct"),
        (MADE + '[[grid]]\naccept = ["some"]\n', "grid 1: accept: some: unknown; give eager"),
        (MADE + "[[grid]]\nmemory = []\n", "memory: an empty list"),
        (MADE + "[[grid]]\nvcpus = [0]\n", "vcpus: 0: give 1 to 4096"),
        (
            MADE + '[[grid]]\nvcpus = { from = "1", to = "2", step = "1" }\n',
            "only for memory, accept, max_ram_below_4g",
        ),
        (MADE + '[[grid]]\nmemory = { from = "2G", to = "1G", step = "1G" }\n', "a range goes upwards"),
        (MADE + '[[grid]]\nmemory = { from = "1G", to = "2G", step = "0" }\n', "a range goes upwards"),
        (MADE + '[[grid]]\nimage = "other"\n', "no image is called other"),
        (MADE + "[[grid]]\non_demand = 3\n", "on_demand: 3: not a word"),
    ],
)
def test_a_mistake_is_named_with_its_place(spec_file: SpecFile, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_spec(spec_file(text))
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_no_toml_no_file_or_no_image_is_named(spec_file: SpecFile, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not TOML"):
        read_spec(spec_file("[[image"))
    with pytest.raises(HostError, match="no such file"):
        read_spec(tmp_path / "missing.toml")
    (tmp_path / "text").write_text("not an image")
    with pytest.raises(FormatError, match="neither a Linux kernel nor an EFI image"):
        read_images(read_spec(spec_file('[[image]]\nkernel = "text"\n')).images)
    spec = '[[image]]\nkernel = "vmlinuz"\ninitrd = "text"\n'
    make_kernel(tmp_path / "vmlinuz", 12 * MIB, 56 * MIB)
    with pytest.raises(FormatError, match="not an initrd"):
        read_images(read_spec(spec_file(spec)).images)


def test_a_point_with_the_path_of_a_file_in_any_axis_is_known_as_such() -> None:
    usual = default_point()
    assert not names_file(usual)
    paths = [f"folder/a{axis.suffix}" for axis in AXES]
    of_files = [index for index, axis in enumerate(AXES) if axis.names_file(paths[index])]
    assert {AXIS_NAMES[index] for index in of_files} >= {"firmware_model", "cost"}
    for index in of_files:
        assert names_file((*usual[:index], paths[index], *usual[index + 1 :])), AXIS_NAMES[index]
