@echo -off
# 64 GiB above 4 GiB left unaccepted, as upstream's firmware leaves them: everything is loaded below, and the table that
# describes the rest to Linux is a page and a header: one bit for 2 MiB.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
boot -memory 66G -accept below-4g -cmdline nokaslr fs1:\made\cloud-6.12
