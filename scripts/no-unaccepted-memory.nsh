@echo -off
# Upstream's firmware accepts what lies below 4 GiB and leaves the rest to the operating system. A kernel without
# support for unaccepted memory, or one whose loader does not pass it on, gets 2 of 8 GiB. Firmware that accepts the rest at
# ExitBootServices, as OVMF does for SEV-SNP, makes all of it usable, and makes the first ExitBootServices fail.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
mkimage kernel old -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C -no-unaccepted
for %p in none unless-objected
  echo " "
  echo === a kernel with unaccepted memory, at exit: %p
  boot -q -memory 8G -accept below-4g -accept-at-exit %p -cmdline nokaslr fs1:\made\cloud-6.12
  echo " "
  echo === a kernel without unaccepted memory, at exit: %p
  boot -q -memory 8G -accept below-4g -accept-at-exit %p -cmdline nokaslr fs1:\made\old
endfor
echo " "
echo === GRUB 2.06
boot -q -memory 8G -accept below-4g -loader grub2.06 -cmdline nokaslr fs1:\made\cloud-6.12
