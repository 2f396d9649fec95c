@echo -off
# An initrd that is larger than RAM: QEMU exits before any firmware runs, so no accept option matters.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
mkimage initrd 600M.cpio -size 600M
boot -memory 512M -accept eager -on-demand service fs1:\made\cloud-6.12 fs1:\made\600M.cpio
echo lasterror %lasterror%
