"""Names from the PDB beside an EFI program.

The program says in its CodeView entry which PDB is its own. It is looked for by that name in the program's folder, and
by the program's own name; another build's is not taken.
"""

from __future__ import annotations

from pathlib import Path

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.errors import TdvfshError
from tdvfsh.formats.mapped import ByteSource, open_mapped
from tdvfsh.formats.pe.codeview import codeview_of
from tdvfsh.formats.symbols.pdb import ProgramDatabase
from tdvfsh.lazy_typing import Final

_SUFFIX: Final = ".pdb"


def pdb_symbols(image: LoadedImage, name: str, folder: Path) -> list[tuple[str, int]]:
    """Name and offset from the image's base of each symbol, by offset; none where there is no PDB of this build.

    Args:
        image: The program.
        name: Its file's name.
        folder: Where it lies on the host.
    """
    codeview = None if image.pe is None else codeview_of(image.pe, image.source)
    if image.pe is None or codeview is None or codeview.guid is None:
        return []
    starts = [section.virtual_address for section in image.pe.sections]
    for candidate in dict.fromkeys((codeview.file_name, Path(name).stem + _SUFFIX)):
        path = folder / Path(candidate).name
        if path.suffix.lower() != _SUFFIX or not path.is_file():
            continue
        try:
            with open_mapped(str(path)) as file:
                database = ProgramDatabase(ByteSource(file.view, str(path)))
                if database.guid != codeview.guid:
                    continue
                found = database.symbols()
        except TdvfshError:
            continue
        symbols = ((each.name, starts[each.section - 1] + each.offset) for each in found if each.section <= len(starts))
        return sorted(symbols, key=lambda symbol: symbol[1])
    return []
