"""Names of code: the table that a kernel carries in itself, and program databases."""
