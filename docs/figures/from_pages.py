"""Run pages and keep their figures: `python docs/figures/from_pages.py [quickstart] [look_inside]`."""

import os
import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = {
    "quickstart.md": ("confusion.png", "sources.png", "digits.png"),
    "howto/look_inside.md": ("occlusion.png", "reliability.png"),
}


def main(wanted: list[str]) -> None:
    """Run the blocks of each page in an empty folder, and copy what they drew."""
    for page, kept in KEPT.items():
        path = HERE.parent / page
        if wanted and path.stem not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            names = {}
            for block in re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.S):
                exec(compile(block, page, "exec"), names)
            for name in kept:
                (HERE / f"{path.stem}_{name}").write_bytes(Path(folder, name).read_bytes())
            os.chdir(HERE)


if __name__ == "__main__":
    main(sys.argv[1:])
