@echo -off
# An initrd of 137 MiB in a small TD. GRUB 2.06 with its verifier cannot hold it in a heap of a quarter of memory and boots
# without it; GRUB 2.12 reads it straight into the EFI stub's buffer.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
mkimage initrd 137M.cpio -size 137M
for %l in grub2.06 grub2.12
  for %a in 300M 512M 1G
    echo " "
    echo === %l, accepted %a
    boot -q -memory 4G -accept %a -loader %l -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\137M.cpio
  endfor
endfor
