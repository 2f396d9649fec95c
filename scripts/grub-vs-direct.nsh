@echo -off
# The same files through QEMU direct boot and through GRUB 2.12: GRUB reads the kernel once and the initrd straight into
# the stub's buffer, so it fits where direct boot does not.
mkimage pair
for %l in direct grub2.12
  echo " "
  echo === %l
  boot -memory 2G -accept 240M -loader %l -cmdline nokaslr %kernel% %initrd%
endfor
