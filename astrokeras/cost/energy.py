"""Energy in joules: counted by the processor (RAPL), from the power of the GPUs (nvidia-smi), or estimated."""

import os
import subprocess
import threading
import time
from pathlib import Path

from astrokeras import backend

JOULES_PER_KWH = 3.6e6
NO_SOURCE = "energy unknown: no GPU that tells, and no RAPL counter that may be read; give watts= for an estimate"


class EnergyMeter:
    """Measure the energy that the machine takes while a `with` block runs.

    Processors count theirs, with the memory's, in `/sys/class/powercap` (RAPL; since 2020 most systems let root alone
    read it); GPUs tell their power, which is asked once a second and summed. Both are of all programs that run on
    them. Where neither is there, the energy is `watts` times the seconds, and `source` says that it is an estimate.

    Args:
        watts: power of the whole machine at work, for the estimate.
        carbon_intensity: grams of CO2 for a kWh, as the supplier of the electricity states it.
        powercap: folder of the processor's counters.
        nvidia_smi: program that tells the power of the GPUs, asked if the backend uses one; those of
            `CUDA_VISIBLE_DEVICES` where that is set.

    Raises:
        ValueError: if `watts` or `carbon_intensity` is not above 0.

    Reference:
        Linux kernel, Documentation/power/powercap; Patterson et al. 2021, arXiv:2104.10350 (what to report).

    Example:
        >>> from astrokeras.cost import EnergyMeter
        >>> with EnergyMeter(watts=50, powercap="nowhere", nvidia_smi="nowhere") as meter:
        ...     total = sum(range(1000))
        >>> meter.source, meter.joules == 50 * meter.seconds
        ('estimate from 50 W', True)
    """

    def __init__(
        self,
        watts: float | None = None,
        *,
        carbon_intensity: float | None = None,
        powercap: str | os.PathLike = "/sys/class/powercap",
        nvidia_smi: str | os.PathLike = "nvidia-smi",
    ):
        for name, value in (("watts", watts), ("carbon_intensity", carbon_intensity)):
            if value is not None and not value > 0:
                raise ValueError(f"Expected {name} above 0, or None; received {value!r}.")
        self.watts = watts
        self.carbon_intensity = carbon_intensity
        self.powercap = Path(powercap)
        self.nvidia_smi = nvidia_smi
        self.source = "unknown"
        self._lock = threading.Lock()
        self._thread, self._ended = None, threading.Event()
        self._begun = self._until = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the start, until the end."""
        return (self._until or time.perf_counter()) - self._begun

    @property
    def joules(self) -> float | None:
        """Energy since the start, until the end; `None` where nothing is known."""
        if self._thread is None:
            return None if self.watts is None else self.watts * self.seconds
        if not self._until:
            self._read()
        return self._summed

    @property
    def co2(self) -> float | None:
        """Grams of CO2 of that energy; `None` where the energy or the carbon intensity is not known."""
        return co2(self.joules, self.carbon_intensity)

    def describe(self) -> str:
        """Return energy, source and CO2 in a few words."""
        return describe_energy(self.joules, self.source, self.co2)

    def __enter__(self) -> "EnergyMeter":
        """Start."""
        self.start()
        return self

    def __exit__(self, *_) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Start from zero; a meter that runs is stopped first."""
        self.stop()
        self._zones = {zone: size for zone, size in _zones(self.powercap).items() if _number(zone) is not None}
        self._counts = {zone: _number(zone) for zone in self._zones}
        self._power = self._gpu_watts() if backend.has_gpu() else None
        found = ["nvidia-smi"] * (self._power is not None) + ["RAPL"] * bool(self._zones)
        estimate = "unknown" if self.watts is None else f"estimate from {self.watts:g} W"
        self.source = " and ".join(found) or estimate
        self._summed, self._until, self._thread = 0.0, 0.0, None
        self._begun = self._at = time.perf_counter()
        if found:
            self._ended = threading.Event()
            self._thread = threading.Thread(target=self._watch, args=(self._ended,), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop; what was measured stays."""
        if self._begun and not self._until:
            if self._thread is not None:
                self._ended.set()
                self._thread.join()
                self._read()
            self._until = time.perf_counter()

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(1.0):
            self._read()

    def _read(self) -> None:
        """Add what was taken since the last reading."""
        with self._lock:
            for zone, size in self._zones.items():
                count = _number(zone)
                if count is not None:
                    self._summed += ((count - self._counts[zone]) % size) * 1e-6  # the counter starts again at size
                    self._counts[zone] = count
            power = None if self._power is None else self._gpu_watts()
            if power is not None:
                now = time.perf_counter()
                self._summed += (self._power + power) / 2 * (now - self._at)
                self._power, self._at = power, now

    def _gpu_watts(self) -> float | None:
        """Return the power of the GPUs, or None where it is not told."""
        asked = [str(self.nvidia_smi), "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
        used = os.environ.get("CUDA_VISIBLE_DEVICES")
        try:
            told = subprocess.run(
                asked + [f"--id={used}"] * bool(used), capture_output=True, text=True, check=True, timeout=20
            )
            return sum(map(float, told.stdout.split()))
        except (OSError, ValueError, subprocess.SubprocessError):
            return None


def co2(joules: float | None, carbon_intensity: float | None) -> float | None:
    """Return grams of CO2, from grams for a kWh."""
    return None if joules is None or carbon_intensity is None else joules / JOULES_PER_KWH * carbon_intensity


def describe_energy(joules: float | None, source: str, grams: float | None, each: str = "") -> str:
    """Say energy, source and CO2 in a few words."""
    if joules is None:
        return NO_SOURCE
    amount = f"{joules:.3g} J" if joules < 1e4 else f"{joules / JOULES_PER_KWH:.3g} kWh"
    return f"{amount}{each} ({source})" + ("" if grams is None else f", {grams:.3g} g of CO2{each}")


def _zones(folder: Path) -> dict[Path, int]:
    """Return counter file -> number of microjoules at which it starts again, of processors and their memory.

    The zones `core` and `uncore` are parts of `package`, and `psys` holds it; the memory, `dram`, is not in it.
    """
    found = {}
    for zone in sorted(folder.glob("*-rapl:*")):
        try:
            name, size = (zone / "name").read_text().strip(), int((zone / "max_energy_range_uj").read_text())
        except (OSError, ValueError):
            continue
        if name.startswith("package") or name == "dram":
            found[zone / "energy_uj"] = size
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
