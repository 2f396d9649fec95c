"""Devices of q35: local and I/O APIC, serial port, CMOS clock, PCI configuration, ports."""
