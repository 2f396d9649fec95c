@echo -off
# One failure and the RFC's cures: nothing, option 1, option 2 to the letter, option 2 repaired, option 3.
# The initrd of 300 MiB finds no room in the EFI stub; LoadImage does not fail, which option 2 waits for.
mkimage pair
mkimage initrd 300M.cpio -size 300M
for %o in none allocator loader-literal loader service
  echo " "
  echo === on demand: %o
  boot -q -memory 2G -accept 512M -on-demand %o -cmdline nokaslr %kernel% fs1:\made\300M.cpio
endfor
