"""What the simulators of surveys return: the files, and how near their figures are to the published ones."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class SimulatedSurvey:
    """Files of a simulated survey; `print` it for the table of its figures beside the published ones.

    Attributes:
        image: path of the FITS image or cube.
        truth: path of the table of all sources, in the format of the challenge.
        primary_beam: path of the FITS image of the primary beam, or `None`.
        figures: for each name the simulated and the published value.
    """

    image: Path
    truth: Path
    primary_beam: Path | None
    figures: dict[str, tuple[float, float]]

    def __str__(self) -> str:
        """Return the table."""
        rows = [f"{'SIMULATION ' + self.image.name:40s} {'simulated':>12s} {'published':>12s} {'ratio':>7s}"]
        for name, (ours, theirs) in self.figures.items():
            rows.append(f"{name:40s} {ours:12.4g} {theirs:12.4g} {ours / theirs:7.3f}")
        return "\n".join(rows)


def mark_as_simulation(header, what: str, seed: int) -> None:
    """Say in a FITS header that the image is a simulation."""
    header["OBJECT"] = "SIMULATION"
    header["SIMULATN"] = (True, "no telescope has seen this")
    header["SIMSEED"] = (seed, "seed of the simulation")
    header["ORIGIN"] = "astrokeras"
    header["HISTORY"] = f"SIMULATION by {what} of astrokeras, seed {seed}"
