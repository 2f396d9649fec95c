@echo -off
# GRUB 2.12 holds the kernel's file once and the initrd not at all: 300 MiB fit where direct boot fails, 400 MiB do not.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
mkimage initrd 300M.cpio -size 300M
mkimage initrd 400M.cpio -size 400M
for %i in 300 400
  for %o in none allocator service
    echo " "
    echo === %i MiB, on demand: %o
    boot -q -memory 2G -accept 512M -loader grub2.12 -on-demand %o -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\%iM.cpio
  endfor
endfor
