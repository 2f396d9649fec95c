"""The subcommands: what each is for, and its own options. Those not asked for are never declared to argparse."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tdvfsh.cli.declarations.boots import (
    declare_advise,
    declare_boot,
    declare_compare,
    declare_demo,
    declare_exec,
    declare_explain,
    declare_ladder,
    declare_lazy,
    declare_plot,
    declare_report,
    declare_sweep,
    declare_verify,
)
from tdvfsh.cli.declarations.files import (
    declare_completion,
    declare_cost_fit,
    declare_diagnose,
    declare_inspect,
    declare_lint,
    declare_no_arguments,
    declare_replay,
    declare_run,
)
from tdvfsh.cli.declarations.firmware import (
    declare_firmware_accepts,
    declare_firmware_record,
    declare_firmware_run,
    declare_measure,
)
from tdvfsh.cli.declarations.images import declare_images
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.options.td import OPTIONS

_AXES_SHOWN: Final = ("memory", "accept", "on_demand", "loader")
_MORE_AXES: Final = [name for name, option in OPTIONS.items() if option.sweep and name not in _AXES_SHOWN]
_SWEEP_EXAMPLE: Final = f"""\
tdvfsh sweep fleet.toml -o results --plot svg,html
  tdvfsh sweep fleet.toml -o new --check results    # exit status 1 where something no longer boots

a spec, here fleet.toml:
  [[image]]                     # real files
  name = "installer"
  kernel = "vmlinuz"            # or an image's name, such as "kernel-6.12"
  initrd = ["initrd.gz"]        # or {{ size = "300M" }}

  [[made]]                      # made images: every combination of sizes
  kernel_size = "12M"
  init_size = "56M"
  initrd_size = ["100M", "300M"]

  [[grid]]                      # every combination of these, for each image
  memory = ["1G", "4G"]
  accept = [{{ from = "64M", to = "1G", step = "16M" }}, "presize", "below-4g"]
  on_demand = ["none", "allocator", "service"]
  loader = ["direct", "grub2.12"]
  # also {", ".join(_MORE_AXES[:6])},
  # {", ".join(_MORE_AXES[6:])}"""


class Subcommand(NamedTuple):
    """A subcommand.

    Attributes:
        summary: What it is for, in a line of the help.
        example: How it is called.
        declare: Declares its arguments.
        td: Whether it takes the TD options.
        shell: Whether it takes the shell's options.
        actions: The actions of one that has several, by name; each has arguments of its own.
        task: The group of the help that it stands in, one of :data:`TASKS`.
        fails: What exit status 1 means, besides that the host refused; empty where it means nothing else.
        status: What the exit status is, where it is something of its own.
        alone: Whether one that has actions does something without any, too.
    """

    summary: str
    example: str
    declare: Callable[[argparse.ArgumentParser], None]
    td: bool = False
    shell: bool = False
    actions: Mapping[str, Subcommand] = MappingProxyType({})
    task: str = ""
    fails: str = ""
    status: str = ""
    alone: bool = False


_FIRMWARE_ACTIONS: Final = MappingProxyType(
    {
        "record": Subcommand(
            "write what this firmware occupies in memory as a model for --firmware-model",
            "tdvfsh firmware record ovmf -o my-tdvf.toml",
            declare_firmware_record,
            td=True,
        ),
        "run": Subcommand(
            "run it, its serial console on standard output; with a kernel it continues through the operating system",
            "printf 'memmap\\nreset -s\\n' | tdvfsh firmware run ovmf --memory 2G --console",
            declare_firmware_run,
            td=True,
        ),
        "accepts": Subcommand(
            "run SEC only: what was accepted, in which order, by which vCPU",
            "tdvfsh firmware accepts ovmf --memory 2G --vcpus 2",
            declare_firmware_accepts,
            td=True,
        ),
    }
)


BOOTS: Final = "boot real kernels and initrds, and see where they go"
FLEETS: Final = "many images, many machines"
REAL: Final = "run the real code (pip install 'tdvfsh[cpu]')"
FILES: Final = "look at files"
SHELL: Final = "the shell and its scripts; 'tdvfsh' alone opens its prompt"
TOOL: Final = "tdvfsh itself"
OTHER: Final = ""
TASKS: Final = (BOOTS, FLEETS, REAL, FILES, SHELL, OTHER, TOOL)
"""What users come for, in the order of the help; the last is for what names no task."""


SUBCOMMANDS: Final = {
    "run": Subcommand(
        "run an .nsh script",
        "tdvfsh run tour",
        declare_run,
        td=True,
        shell=True,
        task=SHELL,
        status="the script's %lasterror%: its low byte, and never 0 for an error",
    ),
    "demo": Subcommand("the main job on real images, in one go", "tdvfsh demo", declare_demo, td=True, task=BOOTS),
    "boot": Subcommand(
        "one boot, step by step",
        "tdvfsh boot installer-13 --accept 512M --on-demand service",
        declare_boot,
        td=True,
        task=BOOTS,
        fails="the boot failed",
    ),
    "compare": Subcommand(
        "boots side by side; TD options take several values with commas between them",
        "tdvfsh compare installer-13 --accept 256M,eager --loader direct,grub2.12",
        declare_compare,
        td=True,
        task=BOOTS,
    ),
    "lazy": Subcommand(
        "the real kernel with accept_memory=lazy and eager, side by side; --memory and --accept take several values",
        "tdvfsh lazy kernel-6.12-cloud --initrd init --memory 2G,8G",
        declare_lazy,
        td=True,
        task=REAL,
        fails="a system did not end well",
    ),
    "explain": Subcommand(
        "why a boot ends as it does, and what each option makes of it",
        "tdvfsh explain installer-13 --memory 2G --accept 224M",
        declare_explain,
        td=True,
        task=BOOTS,
    ),
    "ladder": Subcommand(
        "the smallest accepted size for each stage of a boot",
        "tdvfsh ladder installer-13 --loader direct,grub2.12",
        declare_ladder,
        td=True,
        task=BOOTS,
    ),
    "plot": Subcommand(
        "where each option boots, along the initrd's size or what is accepted at boot",
        "tdvfsh plot installer-13 --memory 2G --from 0 --to 600M --step 10M",
        declare_plot,
        td=True,
        task=BOOTS,
    ),
    "sweep": Subcommand(
        "thousands of scenarios, in parallel, also on a cluster",
        _SWEEP_EXAMPLE,
        declare_sweep,
        task=FLEETS,
        fails="--check found a boot that got worse",
    ),
    "advise": Subcommand(
        "how much to accept at boot for given images, and what accepting on demand costs instead",
        "tdvfsh advise installer-13 --memory 2G",
        declare_advise,
        td=True,
        task=FLEETS,
        fails="no size can be recommended for one of the images",
    ),
    "verify": Subcommand(
        "hold the model against the kernel's real stub, or with --firmware FILE against real firmware",
        "tdvfsh verify installer-13 --cmdline nokaslr",
        declare_verify,
        td=True,
        task=REAL,
        fails="the model and the real code differ",
    ),
    "firmware": Subcommand(
        "real firmware from its reset vector, as a TD or as a plain VM",
        "tdvfsh firmware run ovmf --memory 2G --console",
        declare_no_arguments,
        actions=_FIRMWARE_ACTIONS,
        task=REAL,
        fails="the firmware died, was refused, or did not reach what it should",
    ),
    "measure": Subcommand(
        "what a TD measures to: MRTD of the firmware, RTMRs and event log of running it",
        "tdvfsh measure ovmf-2025.02 --kernel kernel-6.12-cloud --cmdline 'console=ttyS0' --memory 4G --vcpus 2 --json",
        declare_measure,
        td=True,
        task=REAL,
        fails="the run did not get as far as it should, or the measurements are not those of --expect",
    ),
    "exec": Subcommand(
        "run a real EFI program, its console on the terminal or on standard input and output",
        "printf 'memmap\\r\\nexit\\r\\n' | tdvfsh exec shell -nostartup",
        declare_exec,
        td=True,
        shell=True,
        task=REAL,
        status="the low byte of what the program returned, and never 0 for an error",
    ),
    "diagnose": Subcommand(
        "what a boot's log tells: its machine, and the known faults that fit it",
        "tdvfsh diagnose dmesg.txt installer-13",
        declare_diagnose,
        td=True,
        task=FILES,
    ),
    "inspect": Subcommand("what a file is", "tdvfsh inspect kernel-6.12", declare_inspect, task=FILES),
    "cost": Subcommand(
        "what accepting costs in the model: constants, ranges and sources",
        "tdvfsh cost --cost kvm-2m",
        declare_no_arguments,
        td=True,
        task=BOOTS,
        actions={
            "fit": Subcommand(
                "fit constants to measured accepts at boot",
                "tdvfsh cost fit 'memory=64G vcpus=8 accept=eager measured=112s' 'memory=8G measured=24s' -o lab.toml",
                declare_cost_fit,
                td=True,
            ),
        },
        alone=True,
    ),
    "report": Subcommand(
        "a page or a drawing of a boot or a trace",
        "tdvfsh report installer-13 -o boot.html",
        declare_report,
        td=True,
        task=FILES,
    ),
    "lint": Subcommand(
        "check .nsh scripts without running them",
        "tdvfsh lint scripts/*.nsh",
        declare_lint,
        task=SHELL,
        fails="a script has errors",
    ),
    "replay": Subcommand(
        "run recorded sessions again, byte for byte",
        "tdvfsh replay session.tdt",
        declare_replay,
        task=SHELL,
        fails="a session no longer prints the same",
    ),
    "images": Subcommand(
        "real images from Debian packages, and made ones of any size", "tdvfsh images list", declare_images, task=FILES
    ),
    "completion": Subcommand(
        "print what bash, zsh or fish read to complete subcommands, options and images",
        'eval "$(tdvfsh completion bash)"',
        declare_completion,
        task=TOOL,
    ),
    "man": Subcommand("print the manual page", "tdvfsh man > tdvfsh.1", declare_no_arguments, task=TOOL),
}
"""By name, in the order of the help."""
