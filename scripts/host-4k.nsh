@echo -off
# A host that maps 4 KiB pages only: every accept of 2 MiB ends with PAGE_SIZE_MISMATCH and is made again as 512 of 4 KiB.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
mkimage initrd 300M.cpio -size 300M
for %h in kvm-4k kvm-2m
  echo " "
  echo === host %h
  boot -q -memory 4G -accept 512M -on-demand service -cost %h -os-workload 1G -cmdline nokaslr fs1:\made\cloud-6.12 fs1:\made\300M.cpio
endfor
echo " "
echo === one such page on a host of 2 MiB pages, by way of a fault
td new -memory 2G -accept 512M -cost kvm-2m
fault tdcall:2=SIZE_MISMATCH
accept 512M 8M
echo " "
echo === a busy page: three times is survived, four times is not
fault tdcall:1-3=OPERAND_BUSY
accept 1G 4M
fault tdcall:1-4=OPERAND_BUSY
accept 1536M 4M
echo lasterror %lasterror%
