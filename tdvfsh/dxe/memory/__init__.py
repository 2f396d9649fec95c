"""The DXE core's memory: the map, page and pool allocators, the GCD, the memory attributes table."""
