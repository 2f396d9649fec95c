@echo -off
# An initrd that is too big for what was accepted. Direct boot holds it twice: as firmware's blob, and as the copy that
# the kernel's EFI stub makes. 512 MiB are accepted; 100 MiB fit, 300 and 360 MiB fail, each at another step.
mkimage pair
mkimage initrd 100M.cpio -size 100M
mkimage initrd 300M.cpio -size 300M
mkimage initrd 360M.cpio -size 360M
for %a in 100M 300M 360M
  echo " "
  echo === an initrd of %a
  boot -q -memory 2G -accept 512M -cmdline nokaslr %kernel% fs1:\made\%a.cpio
  echo lasterror %lasterror%
endfor
