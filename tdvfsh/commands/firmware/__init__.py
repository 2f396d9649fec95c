"""Commands on the memory map, handles, images and UEFI variables."""
