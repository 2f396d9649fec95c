"""What the host does to the program: full disks, closed streams, signals, damaged caches, others beside it."""
