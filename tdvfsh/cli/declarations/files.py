"""Arguments of the subcommands that read files and boot nothing."""

from __future__ import annotations

import argparse

from tdvfsh.cli.declarations.groups import add_initrd, add_unpack_limit


def declare_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", metavar="SCRIPT.nsh", help="a file, or a script that comes with tdvfsh, such as tour")
    parser.add_argument("script_arguments", metavar="ARG", nargs=argparse.REMAINDER, help="its %%1, %%2 and so on")


def declare_diagnose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", metavar="LOG", help="what firmware, boot loader and kernel said")
    parser.add_argument("kernels", metavar="KERNEL", nargs="*", help="booted on the log's machine")
    add_initrd(parser)
    parser.add_argument("--cmdline", metavar="S", default="", help="kernel command line (default: the log's)")
    add_unpack_limit(parser)


def declare_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    add_unpack_limit(parser)


def declare_lint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scripts", metavar="SCRIPT", nargs="+")
    parser.add_argument(
        "--program", metavar="NAME", action="append", help="a program that the scripts call without its .efi"
    )


def declare_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("transcripts", metavar="TRANSCRIPT", nargs="+")
    parser.add_argument("--update", action="store_true", help="rewrite those that differ")
    parser.add_argument(
        "--outside", action="store_true", help="let them read folders outside their own; by default they may not"
    )
    parser.add_argument(
        "--fs0-write", action="store_true",
        help="let their commands write to the folders that they call rw; by default to copies that go afterwards",
    )  # fmt: skip


def declare_cost_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "measurements",
        metavar="MEASUREMENT",
        nargs="+",
        help="'memory=64G vcpus=8 accept=eager measured=112s', with 'fixed=5s' for what does not accept; or a TOML "
        "file of [[measurement]] tables",
    )
    parser.add_argument("-o", dest="output", metavar="FILE.toml", help="write the fitted constants as a cost file")


def declare_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")


def declare_no_arguments(parser: argparse.ArgumentParser) -> None:
    """All belong to the actions."""
