"""Files are whole or not there: written under another name, then moved into place."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give the path of an empty file in the same folder, which takes the place of `path` at the end.

    If the block raises, `path` is as it was and the other file is gone.

    Args:
        path: of the file to write; its folder exists.

    Example:
        >>> from pathlib import Path
        >>> from astrokeras.whole_file import replacing
        >>> with replacing("note.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> Path("note.txt").read_text()
        'whole'
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:40]}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files private
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
