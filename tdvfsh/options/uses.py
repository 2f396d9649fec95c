"""Where the options of a TD apply: subcommands and commands of the same name take the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.options.td import OPTIONS

NO_KASLR: Final = "nokaslr"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Use(NamedTuple):
    """A command's use of the options.

    Attributes:
        several: Names of those that take several values, with commas between them.
        without: Those that do not apply, by name, and why.
        cmdline: The kernel's command line where none is given. Where sizes are searched for it is ``nokaslr``: with
            KASLR the kernel may cut the only large hole in two, and no size is a threshold.
        real_code: Names of those that are the model's alone, where real firmware decides: they are refused there, and a
            default that the user has for them does not count.
        usual: What stands for options that are not given, by name, where that is not the table's default.
    """

    several: tuple[str, ...] = ()
    without: Mapping[str, str] = _NONE
    cmdline: str = ""
    usual: Mapping[str, str] = _NONE
    real_code: tuple[str, ...] = ()

    def check(self, given: Mapping[str, object]) -> None:
        """Refuse options that do not apply.

        Raises:
            UsageError: One was given.
        """
        for name, why in self.without.items():
            if name in given:
                raise UsageError(f"--{OPTIONS[name].spelling} {why}")


_FOUND: Final = "is what it finds out; 'compare' takes values"
_DEMO: Final = "does not apply: the demo has its own"
_OWN_KEYS: Final = "does not apply: the real firmware reads its own variables"
_RECORDED: Final = MappingProxyType({"cost": "kvm-2m"})
"""Real firmware and kernels were recorded on a host that maps 2 MiB pages: held against that, they ask for those."""
FIRMWARE_S_OWN: Final = (
    "accept", "on_demand", "profile", "loader", "firmware_model", "accept_at_exit", "os_workload", "kaslr_seed", "map",
    "firmware", "fault",
)  # fmt: skip
"""What real firmware decides by itself."""
_PLAIN: Final = Use()
_USES: Final = {
    "compare": Use(several=("memory", "accept", "on_demand", "loader", "firmware_model")),
    "ladder": Use(several=("loader",), without={"accept": _FOUND}, cmdline=NO_KASLR),
    "plot": Use(several=("on_demand",), cmdline=NO_KASLR),
    "lazy": Use(several=("memory", "accept")),
    "advise": Use(several=("loader",), without={"accept": _FOUND, "on_demand": _FOUND}),
    "demo": Use(without=dict.fromkeys(("memory", "accept", "on_demand", "loader"), _DEMO)),
    "verify": Use(cmdline=NO_KASLR, usual=_RECORDED),
    "firmware": Use(usual=_RECORDED, without={"secure_boot": _OWN_KEYS}, real_code=FIRMWARE_S_OWN),
    "measure": Use(without={"secure_boot": _OWN_KEYS}, real_code=FIRMWARE_S_OWN),
}


def use_of(command: str) -> Use:
    """How a command, or a subcommand of that name, uses the options: as a rule all of them, with one value each."""
    use = _USES.get(command, _PLAIN)
    elsewhere = {
        option.name: f"applies only to {', '.join(option.only)}"
        for option in OPTIONS.values()
        if option.only and command not in option.only
    }
    return use._replace(without={**use.without, **elsewhere}) if elsewhere else use
