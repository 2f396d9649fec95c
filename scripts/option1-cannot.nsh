@echo -off
# Where option 1 does not help and option 3 does. With an initrd of 360 MiB the EFI stub finds no place for the kernel.
# It reads the memory map and would ask for an address; it never requests "any", so the allocator is never called.
mkimage pair
mkimage initrd 360M.cpio -size 360M
for %o in allocator service
  echo " "
  echo === on demand: %o
  boot -q -memory 2G -accept 512M -on-demand %o -cmdline nokaslr %kernel% fs1:\made\360M.cpio
endfor
echo " "
echo === why
boot -q -memory 2G -accept 512M -on-demand allocator -cmdline nokaslr %kernel% fs1:\made\360M.cpio
explain
