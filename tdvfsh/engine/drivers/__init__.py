"""The firmware's own drivers: those that OVMF has for the devices of the board."""
