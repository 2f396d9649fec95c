"""The DXE core: memory map, page and pool allocators, GCD, handles, events, image services, the boot-services table."""
