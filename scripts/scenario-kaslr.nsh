@echo -off
# KASLR can put the kernel into the middle of the only large hole. Whether an initrd of 150 MiB then fits depends on
# the seed; with nokaslr it always does. Option 1 cures every failure.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
mkimage initrd 150M.cpio -size 150M
for %s in 0x10000000 0x30000000 0x50000000 0x70000000 0x90000000 0xB0000000 0xD0000000 0xF0000000
  echo " "
  echo === seed %s
  boot -q -memory 2G -accept 512M -kaslr-seed %s fs1:\made\cloud-6.12 fs1:\made\150M.cpio
  boot -q -memory 2G -accept 512M -kaslr-seed %s -on-demand allocator fs1:\made\cloud-6.12 fs1:\made\150M.cpio
endfor
echo " "
echo === nokaslr
boot -q -memory 2G -accept 512M -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\150M.cpio
