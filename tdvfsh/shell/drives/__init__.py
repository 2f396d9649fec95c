"""FSn: drives, host folders, files in memory, paths and patterns."""
