"""The shell as a library: lines go in, text and status come out; the journal tells which calls failed.

python scripts/failures.py
"""

from __future__ import annotations

from tdvfsh import Machine, MemorySink, Shell, td_options

LINES = (
    "accept 512M 64M",
    "bs AllocatePages AnyPages LoaderData 100000",
    "accept 512M 1",
    "assert accepted == 576M and lasterror == INVALID_PARAMETER",
    "undo 4",
    "assert accepted == 512M",
)


def main() -> None:
    """Run some lines; then ask the machine itself."""
    sink = MemorySink()
    shell = Shell(sink)
    shell.td_options = td_options(memory="4G", accept="512M")
    for line in LINES:
        before = len(sink.text)
        status = shell.run_line(line)
        print(f"> {line}    (lasterror {status.name})\n{sink.text[before:]}", end="")
        if line.startswith("undo"):
            continue
        machine = shell.machine
        assert isinstance(machine, Machine)
        failed = [record.service for record in machine.trace if record.status is not None and record.status.is_error]
        print(f"  calls that failed so far: {', '.join(failed) or 'none'}")


if __name__ == "__main__":
    main()
