"""Help for the commands that have nothing to act on here: what they are for and which words they read."""

from __future__ import annotations

HANDLES = """
        DeviceHandle: Handle of a device, in hex.
        DriverHandle: Handle of a driver, in hex.
        ChildHandle: Handle of one of the device's children, in hex."""

HELP: dict[str, str] = {
    "dblk": """Show blocks of a block device.

    SYNOPSIS:
        dblk device [lba] [blocks] [-b]

    OPTIONS:
        -b: Stop after each page.
        device: Its name, such as blk0.
        lba: First block, in hex; 0 without it.
        blocks: How many, in hex and at most 10; 1 without it.

    EXAMPLES:
        Show the first block:
        dblk blk0
        Show 5 blocks from block 12 on:
        dblk fs0 12 5
""",
    "devices": """List the devices that drivers manage.

    SYNOPSIS:
        devices [-b] [-l XXX] [-sfo]

    OPTIONS:
        -b: Stop after each page.
        -l XXX: In this language (ISO 639-2).
        -sfo: Print Standard-Format Output.

    EXAMPLES:
        List them:
        devices
""",
    "devtree": """Show the tree of devices.

    SYNOPSIS:
        devtree [-b] [-d] [-l XXX] [DeviceHandle]

    OPTIONS:
        -b: Stop after each page.
        -d: Show device paths.
        -l XXX: In this language.
        DeviceHandle: Only what is below this handle.

    EXAMPLES:
        Show the whole tree:
        devtree
        Show what is below handle 28:
        devtree 28
""",
    "drivers": """List the drivers.

    SYNOPSIS:
        drivers [-l XXX] [-sfo]

    OPTIONS:
        -l XXX: In this language.
        -sfo: Print Standard-Format Output.

    EXAMPLES:
        List them:
        drivers
""",
    "drvcfg": f"""Configure devices by their drivers.

    SYNOPSIS:
        drvcfg [-l XXX] [-c] [-f Type | -v | -s] [DriverHandle [DeviceHandle [ChildHandle]]] [-i file] [-o file]

    OPTIONS:
        -c: All children too.
        -l XXX: In this language.
        -f Type: Force defaults: 0 standard, 1 manufacturing, 2 safe, 4000-FFFF others.
        -v: Check the options.
        -s: Set the options.
        -i file: Read changes from a file.
        -o file: Write the settings to a file.{HANDLES}

    EXAMPLES:
        List what can be configured:
        drvcfg
        Force defaults on all devices:
        drvcfg -f 0
        Set the options of device 28 by driver 17:
        drvcfg -s 17 28
""",
    "drvdiag": f"""Run diagnostics of drivers.

    SYNOPSIS:
        drvdiag [-c] [-l XXX] [-s|-e|-m] [DriverHandle [DeviceHandle [ChildHandle]]]

    OPTIONS:
        -c: All children too.
        -l XXX: In this language.
        -s: Standard mode.
        -e: Extended mode.
        -m: Manufacturing mode.{HANDLES}

    EXAMPLES:
        List what can be diagnosed:
        drvdiag
        Run standard diagnostics on all devices:
        drvdiag -s
""",
    "edit": """Edit a text file on the whole screen.

    SYNOPSIS:
        edit [file]

    OPTIONS:
        file: ASCII or UTF-16; a new one without it.

    EXAMPLES:
        Edit a file:
        edit shell.log
""",
    "eficompress": """Compress a file with the algorithm of the UEFI specification.

    SYNOPSIS:
        eficompress infile outfile

    OPTIONS:
        infile: The file to read.
        outfile: The file to write.

    EXAMPLES:
        Compress a file:
        eficompress big small
""",
    "efidecompress": """Decompress what eficompress made.

    SYNOPSIS:
        efidecompress infile outfile

    OPTIONS:
        infile: The file to read.
        outfile: The file to write.

    EXAMPLES:
        Decompress a file:
        efidecompress small big
""",
    "hexedit": """Edit bytes of a file, a disk or memory on the whole screen.

    SYNOPSIS:
        hexedit [[-f] file | [-d disk offset size] | [-m address size]]

    OPTIONS:
        -f: A file.
        -d: Blocks of a disk: its name, the first block, how many.
        -m: Memory: the first address, how many bytes.

    EXAMPLES:
        Edit a file:
        hexedit test.bin
        Edit two blocks:
        hexedit -d fs0 0 2
        Edit two bytes of memory:
        hexedit -m 0 2
""",
    "http": """Fetch a file from a web server.

    SYNOPSIS:
        http [-i interface] [-l port] [-s size] [-m] [-t seconds] [-k] host path [file]

    OPTIONS:
        -i interface: Such as eth0; all without it.
        -l port: The local port.
        -s size: Bytes of the buffer.
        -m: Measure only.
        -t seconds: How long to wait.
        -k: Keep what came before an error.
        host: The server.
        path: The file there.
        file: The file here.

    EXAMPLES:
        Fetch a file:
        http 192.168.1.1 dir/file.dat
""",
    "ifconfig": """Show or change the IPv4 address of a network interface.

    SYNOPSIS:
        ifconfig [-r [Name]] [-l [Name]]
        ifconfig [-s Name dhcp | static IP Mask Gateway | dns IP]

    OPTIONS:
        -r: Ask for an address again, and use DHCP from now on.
        -l: List the interfaces.
        -s: Configure one.
        Name: The interface, such as eth0.
        IP: An address such as 192.168.0.10.
        Mask: A subnet mask such as 255.255.255.0.
        Gateway: The gateway's address.

    EXAMPLES:
        List an interface:
        ifconfig -l eth0
        Use DHCP:
        ifconfig -s eth0 dhcp
        Use a fixed address:
        ifconfig -s eth0 static 192.168.0.5 255.255.255.0 192.168.0.1
        Name DNS servers:
        ifconfig -s eth0 dns 192.168.0.8 192.168.0.9
""",
    "ifconfig6": """Show or change the IPv6 configuration of a network interface.

    SYNOPSIS:
        ifconfig6 -r [Name] | -l [Name]
        ifconfig6 -s Name [dad Num] [auto | man [id Mac] [host IPv6 gw IPv6] [dns IPv6]]

    OPTIONS:
        Name: The interface, such as eth0.
        -r [Name]: Configure again, by the automatic policy.
        -l [Name]: List the configuration.
        -s Name dad Num: Set how often a duplicate address is looked for.
        -s Name auto: Set the automatic policy.
        -s Name man ...: Set the interface's id, addresses, gateway and DNS servers by hand.

    EXAMPLES:
        List an interface:
        ifconfig6 -l eth0
        Set the automatic policy:
        ifconfig6 -s eth0 auto
        Set addresses by hand:
        ifconfig6 -s eth0 man host 2002::1/64 gw 2002::3/64
""",
    "loadpcirom": """Load the option ROM of a PCI card from a file.

    SYNOPSIS:
        loadpcirom [-nc] romfile [romfile...]

    OPTIONS:
        -nc: Do not connect its drivers.
        romfile: A file or pattern.

    EXAMPLES:
        Load one:
        loadpcirom rom.bin
        Load all, without connecting:
        loadpcirom -nc *.bin
""",
    "pci": """List PCI devices, or show a function's configuration space.

    SYNOPSIS:
        pci [Bus Dev [Func] [-s Seg] [-i [-ec ID]]]

    OPTIONS:
        -s: Segment, in hex.
        -i: Explain the fields.
        -ec: Explain one extended capability, whose id is in hex.
        Bus: In hex.
        Dev: In hex.
        Func: In hex.

    EXAMPLES:
        List all devices:
        pci
        Explain one:
        pci 00 00 00 -i
        Show one of a segment:
        pci 00 00 00 -s 0
""",
    "ping": """Send echo requests to an IPv4 address.

    SYNOPSIS:
        ping [-n count] [-l size] [-s SourceIp] TargetIp

    OPTIONS:
        -n: How many.
        -l: Bytes in each.
        -s: The address to send from.
        SourceIp: An address of this machine.
        TargetIp: The address to ask.

    EXAMPLES:
        Send 64 bytes at a time:
        ping -l 64 192.168.0.1
        Send 20 requests:
        ping -n 20 202.120.100.1
        Choose the address to send from:
        ping -s 202.120.100.12 202.120.100.1
""",
    "ping6": """Send echo requests to an IPv6 address.

    SYNOPSIS:
        ping6 [-l size] [-n count] [-s SourceIp] TargetIp

    OPTIONS:
        -l size: Bytes in each: 16 to 32768, 16 without it.
        -n count: How many: 1 to 10000, 10 without it.
        -s SourceIp: The address to send from.
        TargetIp: The address to ask.

    EXAMPLES:
        Send one request:
        ping6 -n 1 fe80::1
""",
    "sermode": """Show or set what serial ports use.

    SYNOPSIS:
        sermode [handle [baudrate parity databits stopbits]]

    OPTIONS:
        handle: Handle of the port, in hex.
        baudrate: Bits in a second: 50 to 460800.
        parity: d default, n none, e even, o odd, m mark, s space.
        databits: 4, 7 or 8.
        stopbits: 0 default, 1, 2, or 15 for 1.5.

    EXAMPLES:
        Show all ports:
        sermode
        Show one:
        sermode 6B
        Set one:
        sermode 6B 9600 e 8 1
""",
    "tftp": """Fetch a file from a TFTP server.

    SYNOPSIS:
        tftp [-i interface] [-l port] [-r port] [-c retries] [-t seconds] [-s size] [-w size] host remotefile [file]

    OPTIONS:
        -i interface: Such as eth0; all without it.
        -l port: The local port.
        -r port: The server's port; 69 without it.
        -c retries: How often to try again.
        -t seconds: How long to wait.
        -s size: Bytes of a block.
        -w size: Blocks of a window.
        host: The server's IPv4 address.
        remotefile: The file there.
        file: The file here.

    EXAMPLES:
        Fetch a file:
        tftp 192.168.1.1 dir/file.dat
""",
}
