"""The devices of the machine that an operating system meets: interrupt controllers, serial port, ports."""
