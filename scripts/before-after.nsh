@echo -off
# The memory map before a boot, and as the kernel gets it.
mkimage pair
echo " "
echo === before: the shell's own TD
td new -memory 2G -accept 256M -on-demand service
memmap
echo " "
echo === after: what GetMemoryMap gave the kernel last
boot -memmap -memory 2G -accept 224M -on-demand service -cmdline nokaslr %kernel% %initrd%
