@echo -off
# The tour: a lazily accepted TD, its memory map, and accepting more of it by hand.
echo === The TD: 4 GiB of RAM, 512 MiB of it accepted before DXE started
td
echo " "
echo === Its memory map ends with what is not accepted yet
memmap
echo " "
echo === AllocatePages cannot give 1 GiB: no free piece is that large
bs AllocatePages AnyPages LoaderData 0x40000
echo lasterror %lasterror%
echo " "
echo === AcceptMemory(), the RFC's option 3, for 1 GiB from the first unaccepted byte on
accept 0x20000000 0x40000000
sept
echo " "
echo === Now it can
bs AllocatePages AnyPages LoaderData 0x40000
echo " "
echo === Every call so far, with what it caused
trace -n 8
