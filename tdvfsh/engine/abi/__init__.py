"""How guest code reaches firmware: stubs, system table, service table, interfaces, buffers."""
