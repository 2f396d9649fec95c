"""Boot and runtime services: guest pointers in, DXE core calls out."""
