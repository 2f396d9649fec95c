"""What a journal tells: accepts with their reasons, the memory map over time, the steps of a boot."""
