@echo -off
# Five failures on the way down: the smallest accepted size for each stage, with the Debian installer's initrd.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
mkimage initrd installer.cpio -size 40723557
for %l in direct grub2.12-debian
  echo " "
  echo === %l
  ladder -memory 2G -loader %l -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\installer.cpio
endfor
echo " "
echo === direct, OvmfPkgX64 2025.02
ladder -memory 2G -firmware-model ovmf-2025.02 -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\installer.cpio
echo " "
echo === direct, with option 1 and an initrd of 400 MiB: not monotone
mkimage initrd 400M.cpio -size 400M
ladder -memory 2G -on-demand allocator -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\400M.cpio
