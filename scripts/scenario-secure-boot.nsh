@echo -off
# A signature that the firmware's keys do not know: LoadImage returns SECURITY_VIOLATION, which no accept option can cure.
# (The signature is not checked here; the status is injected.)
mkimage kernel cloud-6.12 -size 11708352 -init-size 0x37DD000 -image-size 0xB90000 -output-len 0x36E802C
for %o in none allocator loader service
  echo " "
  echo === on demand: %o
  boot -q -memory 2G -on-demand %o -fault LoadImage:1=SECURITY_VIOLATION -cmdline nokaslr fs1:\made\cloud-6.12
endfor
