@echo -off
# A TD of 64 GiB: accepting all of it at boot against leaving it to the operating system, with one vCPU and with 64, and
# on KVM of 2026, which maps 4 KiB pages, and on one that maps 2 MiB pages. Times are modelled.
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
for %a in eager below-4g
  for %v in 1 64
    for %h in kvm-4k kvm-2m
      echo " "
      echo === accept %a, %v vCPUs, host %h
      boot -q -memory 64G -accept %a -vcpus %v -cost %h -os-workload 2G -cmdline nokaslr fs1:\made\cloud-6.12
    endfor
  endfor
endfor
