"""A pytest plugin: the fenced blocks of README and docs run, and print what stands there.

In a ``console`` block a line that begins with ``$`` is a command, and what follows is its output, with ``...`` for any
lines; lines that begin with ``FS0:\\>`` after ``$ tdvfsh …`` are typed into that shell. A ``python`` block runs as a
script, an ``sh`` block as one of the host's shell; what they print does not matter. All blocks of a page run in one
folder, in their order. A comment in front of a block says what it needs::

    <!-- test: slow -->                   only with --docs-slow: it takes minutes, or needs a download
    <!-- test: needs=installer-13 -->     with --docs-slow, or where that image has been fetched; numbers are masked
    <!-- test: masked -->                 numbers are masked: sizes and versions of files of this machine
    <!-- test: stderr -->                 standard error is part of the output
    <!-- test: clone -->                  it runs in a fresh clone of the repository
    <!-- test: status=1 -->               the last command's exit status
    <!-- test: file=fleet.toml -->        the block is this file
    <!-- test: no -->                     not run: a form, or what needs a person; the text says which

``--docs-update`` rewrites outputs that differ.
"""
