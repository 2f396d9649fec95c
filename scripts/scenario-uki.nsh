@echo -off
# A unified kernel image holds its initrd three times: in the image, joined by systemd's stub, and as the kernel's copy. With
# 512 MiB accepted 100 MiB fit and 120 MiB do not.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
for %i in 100 120
  mkimage initrd %iM.cpio -size %iM
  mkimage uki %iM.efi -kernel fs1:\made\cloud-6.12 -initrd fs1:\made\%iM.cpio -cmdline nokaslr
  for %o in none allocator service
    echo " "
    echo === %i MiB, on demand: %o
    boot -q -memory 2G -accept 512M -loader sd-boot -on-demand %o fs1:\made\%iM.efi
  endfor
endfor
