"""The plugin itself: what differs in a page fails, what is masked does not."""

from __future__ import annotations

from tests.documents.blocks import blocks_of
from tests.documents.run import differs, session_of, without_prompts

PAGE = """
<!-- test: needs=installer-13,init status=1 -->
```console
$ tdvfsh boot installer-13 \\
      --memory 2G
kernel  11.61 MiB
...
result  fails
$ second
```

```text
$ not run
```

```console
$ tdvfsh --memory 2G
FS0:\\> echo 'a b'
a b
```
"""


def test_a_page_has_blocks_with_marks_and_commands_with_outputs() -> None:
    first, text, session = blocks_of(PAGE)
    assert (first.language, first.needs, first.status, first.masked) == ("console", ["installer-13", "init"], 1, True)
    boot, second = first.commands()
    assert boot.text == "tdvfsh boot installer-13 \\\n      --memory 2G"
    assert boot.output == ["kernel  11.61 MiB", "...", "result  fails"]
    assert second.output == []
    assert (text.language, text.marks) == ("text", {})
    (command,) = session.commands()
    assert session_of(command) == "tdvfsh --memory 2G -c 'echo '\"'\"'a b'\"'\"''"
    assert without_prompts(command.output) == ["a b"]


def test_what_differs_is_found_and_what_is_masked_is_not() -> None:
    masked, _, exact = blocks_of(PAGE)
    assert not differs(["kernel  11.61 MiB"], ["kernel  9.5 GiB"], masked)
    assert not differs(["needs 1 MiB, has", "  2 MiB"], ["needs 38.87", "      MiB, has 2 MiB"], masked)
    assert differs(["kernel  11.61 MiB"], ["initrd  11.61 MiB"], masked)
    assert differs(["kernel  11.61 MiB"], ["kernel  11.62 MiB"], exact)
    assert not differs(["a", "...", "c"], ["a", "b", "c"], exact)
    assert differs(["a", "...", "c"], ["a", "b", "d"], exact)
    assert differs(["a", "...", "x", "...", "c"], ["a", "b", "c"], exact)
    assert differs(["a"], ["a", "b"], exact)
    assert not differs(["..."], [], exact)
