"""The vocabulary of the specifications: statuses, memory types, descriptors, GUIDs, device paths, HOBs, TDX."""
