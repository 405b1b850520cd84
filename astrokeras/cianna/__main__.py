"""Run a script that was written for CIANNA: `python -m astrokeras.cianna SCRIPT.py [arguments]`."""

import glob
import os
import sys
import types
from pathlib import Path

MODULES = ("CIANNA", "CIANNA_exp")
_BUILD = "build/lib"  # where scripts look for a compiled CIANNA


def main(arguments: list[str]) -> int:
    """Run a script as `python SCRIPT.py` would, with our `cnn` under CIANNA's names.

    `import CIANNA` finds our module whatever the script does to `sys.path`. Scripts look for the folder of a compiled
    CIANNA with `glob.glob(".../build/lib.*/")[-1]`; where there is none, they get their own folder.

    Args:
        arguments: the script and what is for it.

    Returns:
        The exit status where the script cannot be run: 2.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python -m astrokeras.cianna SCRIPT.py [arguments]\n\n" + (__doc__ or ""), file=sys.stderr)
        return 0 if arguments else 2
    script = Path(arguments[0])
    try:
        source = script.read_bytes()
    except OSError as error:
        print(f"astrokeras.cianna: cannot open {script}: {error.strerror}", file=sys.stderr)
        return 2
    from astrokeras.cianna import interface

    for name in MODULES:
        sys.modules[name] = interface
    folder = str(script.resolve().parent)
    _serve_build_folder(folder)
    sys.argv = list(arguments)
    sys.path[0] = folder
    module = types.ModuleType("__main__")
    module.__file__ = os.path.abspath(script)
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    exec(compile(source, module.__file__, "exec"), module.__dict__)
    return 0


def _serve_build_folder(folder: str) -> None:
    """Let `glob.glob` answer a search for a compiled CIANNA that finds none with a folder that is on the path."""
    search = glob.glob

    def answer(pathname, *arguments, **options):
        found = search(pathname, *arguments, **options)
        return found or ([folder] if _BUILD in os.fspath(pathname) else found)

    glob.glob = answer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
