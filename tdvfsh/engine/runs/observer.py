"""What the purpose of a run decides: names in the journal, and what happens when guest code leaves boot services."""

from __future__ import annotations

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.engine.introspect.kernel_symbols import KernelSymbols
from tdvfsh.lazy_typing import NamedTuple


class CodeRange(NamedTuple):
    """Guest physical addresses ``[start, end)`` of an operating system's code."""

    start: int
    end: int


class RunObserver:
    """Observer of a run of guest code; this one changes nothing. Subclasses override what they need.

    Attributes:
        other_code: What the journal calls code that lies in no started image.
    """

    other_code: str = "guest"

    def image_name(self, image: LoadedImage) -> str | None:
        """Name of an image in the journal and in reports; None for its file's name."""
        return None

    def served(self, service: str, caller: int) -> None:
        """A service was served; ``caller`` is where its call returns to."""

    def left_boot_services(self) -> CodeRange | None:
        """ExitBootServices has succeeded.

        Returns:
            Where the operating system's code will be, whose first instruction is waited for; None to let the caller of
            ExitBootServices continue unwatched.

        Raises:
            ReachedOperatingSystem: The run ends here.
        """
        return None

    def entering_system(self) -> KernelSymbols | None:
        """The operating system's first instruction comes next; returns its names, None for no Linux kernel."""
        return None
