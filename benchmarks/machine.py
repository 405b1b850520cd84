"""The line that tells on which machine a table was measured."""

import datetime
import os
import platform
from pathlib import Path

import keras

from astrokeras import runtime


def machine() -> str:
    """Return processor, cores, memory, system and versions in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, Keras {keras.__version__} on {keras.config.backend()} {backend_version()}"
    )


def backend_version() -> str:
    """Return the version of the backend's package."""
    name, found = keras.config.backend(), runtime.versions()
    return found.get(name) or found.get(f"{name}-cpu", "?")


def write(name: str, title: str, command: str, table: str) -> Path:
    """Write a dated result with command and machine into results/; return its path."""
    today = datetime.date.today().isoformat()
    path = Path(__file__).parent / "results" / f"{today}-{name}.md"
    path.write_text(f"# {title}\n\n- date: {today}\n- command: `{command}`\n- machine: {machine()}\n\n{table}\n")
    return path
