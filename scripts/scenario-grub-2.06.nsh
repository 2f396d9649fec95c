@echo -off
# GRUB 2.06 takes a quarter of what is free for its heap, once. Where a verifier wants the initrd in one block, 60 MiB fit
# into the heap of a TD with 512 MiB accepted and 90 MiB do not, and the kernel is started without its initrd.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
mkimage initrd 60M.cpio -size 60M
mkimage initrd 90M.cpio -size 90M
echo === 60 MiB
boot -q -memory 2G -accept 512M -loader grub2.06 -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\60M.cpio
for %o in none allocator loader-literal loader service
  echo " "
  echo === 90 MiB, on demand: %o
  boot -q -memory 2G -accept 512M -loader grub2.06 -on-demand %o -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\90M.cpio
endfor
