"""What one AcceptMemory() changes, and that it can be taken back: snapshots and differences.

python scripts/what_changed.py
"""

from __future__ import annotations

from tdvfsh import EfiAllocateType, EfiMemoryType, Machine, difference, human_size, td_options


def main() -> None:
    """Fail to allocate, accept, allocate; then tell what that changed."""
    machine = Machine(td_options(memory="4G", accept="512M"))
    services, before = machine.services, machine.snapshot()
    pages = 0x40000  # 1 GiB
    asked = (EfiAllocateType.AllocateAnyPages, EfiMemoryType.EfiLoaderData, pages, 0)

    print("AllocatePages:", services.allocate_pages(*asked).status.name)
    print("AcceptMemory: ", services.accept_memory(0x20000000, 0x40000000).name)
    print("AllocatePages:", services.allocate_pages(*asked).status.name)

    found = difference(before, machine.snapshot(before))
    for change in found.ranges:
        span = f"{change.start:012X}-{change.end - 1:012X} {human_size(change.end - change.start):>8}"
        print(f"{change.map_name:<10} {span}  {change.before} -> {change.after}")
    print(f"{human_size(found.accepted_bytes)} accepted in {found.time_ns / 1e9:.2g} s, modelled")

    machine.restore(before)
    print("taken back:   ", difference(before, machine.snapshot(before)).is_empty)


if __name__ == "__main__":
    main()
