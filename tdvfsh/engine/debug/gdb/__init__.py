"""gdb's remote protocol: a connection, its packets, and what they ask for."""
