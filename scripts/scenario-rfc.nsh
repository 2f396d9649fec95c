@echo -off
# The RFC's three options beside the RFC's own code: profile lazy-v2 is option 1 as its author carried it into edk2 (pull
# request 3245, never merged), held against that firmware built unchanged and run as a TD. 512 MiB are accepted at boot.
mkimage kernel cloud-6.12.117 -size 11737024 -init-size 0x37DE000 -image-size 0xB97000 -output-len 0x36E86B8
for %s in 40M 200M 342M 343M 428M 429M 448M 600M
  mkimage initrd %s.cpio -size %s
  echo " "
  echo === %s, what its author built
  boot -q -memory 2G -accept 512M -on-demand allocator -profile lazy-v2 -cmdline nokaslr fs1:\made\cloud-6.12.117 fs1:\made\%s.cpio
endfor
for %o in none loader-literal loader service
  echo " "
  echo === 343M, the RFC's other ways: %o
  boot -q -memory 2G -accept 512M -on-demand %o -profile lazy-v2 -cmdline nokaslr fs1:\made\cloud-6.12.117 fs1:\made\343M.cpio
endfor
echo " "
echo === 343M, what edk2 took: everything below 4 GiB
boot -q -memory 2G -accept below-4g -profile upstream -cmdline nokaslr fs1:\made\cloud-6.12.117 fs1:\made\343M.cpio
echo " "
echo === 600M, what edk2 took: everything below 4 GiB
boot -q -memory 2G -accept below-4g -profile upstream -cmdline nokaslr fs1:\made\cloud-6.12.117 fs1:\made\600M.cpio
