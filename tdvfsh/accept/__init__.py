"""What accepts memory, and when: the policy at boot, and the 2021 RFC's three options on demand."""
