"""ACPI and SMBIOS as firmware leaves them in memory."""
