@echo -off
# Direct boot with 512 MiB accepted of 2 GiB, and initrds that fail at every step of it. Option 1 (allocator) helps the
# smallest and the largest; in between the EFI stub reads the memory map itself and requests nothing.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
for %i in 100 300 360 424 435 450
  mkimage initrd %iM.cpio -size %iM
  for %o in none allocator loader-literal loader service
    echo " "
    echo === %i MiB, on demand: %o
    boot -q -memory 2G -accept 512M -on-demand %o -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\%iM.cpio
  endfor
endfor
