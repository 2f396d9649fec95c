@echo -off
# A failure that accepting lazily causes: 800 MiB of RAM and an initrd of 300 MiB. Accepted at once all fits. Accepted later,
# 288 MiB stay a separate piece, since their descriptor has another attribute: no option makes 300 MiB contiguous.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
mkimage initrd 300M.cpio -size 300M
echo === accepted at boot: all
boot -q -memory 800M -accept eager -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\300M.cpio
for %o in none allocator loader service
  echo " "
  echo === accepted at boot: 512M, on demand: %o
  boot -q -memory 800M -accept 512M -on-demand %o -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\300M.cpio
endfor
echo " "
explain
