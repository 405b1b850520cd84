"""Draw the figure of the first page: `python docs/figures/overview.py DETECTOR.keras GALAXIES.keras`.

The files come from `astrokeras demo` (demo/radio_sources.keras) and `astrokeras train galaxy_zoo2 --augment`.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import astrokeras

BLUE, ORANGE = "#56B4E9", "#E69F00"
PART = 190  # pixels along each side of the field that is shown


def main(detector: str, classifier: str) -> None:
    """Write overview.png beside this script."""
    figure = Figure(figsize=(13, 4.7), layout="constrained", facecolor="white")
    for part, draw, argument in zip(
        figure.subfigures(1, 3, wspace=0.03), (find, tell, make), (detector, classifier, None)
    ):
        draw(part, argument)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


def find(figure, path: str) -> None:
    """Show sources that the detector finds in a field that it has not seen."""
    sky = {"sources": (160, 640), "snr": 5.0, "noise": 2.6e-7}
    _, fields = astrokeras.datasets.simulated_radio_fields(1, 1, size=512, seed=2, **sky)
    image, objects = fields[0]
    found = astrokeras.load_model(path).detect(image[None])[0]
    axes = figure.add_subplot()
    axes.imshow(
        np.arcsinh(image[..., 0] / 5e-7), cmap="gray", origin="lower", extent=(0, 512, 0, 512), vmin=-0.6, vmax=4
    )
    for boxes, style in (
        (found.boxes, {"edgecolor": ORANGE}),
        (objects["boxes"], {"edgecolor": BLUE, "linestyle": (0, (2, 2))}),
    ):
        for x_min, y_min, x_max, y_max in boxes:
            grown = 1.5  # room between the lines and the source
            corner = (x_min - grown, y_min - grown)
            size = x_max - x_min + 2 * grown, y_max - y_min + 2 * grown
            axes.add_patch(Rectangle(corner, *size, fill=False, linewidth=1.4, **style))
    starts = np.arange(0, 512 - PART, 10)
    x, y = (objects["boxes"][:, :2] + objects["boxes"][:, 2:]).T / 2
    within = [(abs(low - values + PART / 2) < PART / 2) for values in (x, y) for low in starts]
    counts = np.array(within[: len(starts)], int) @ np.array(within[len(starts) :], int).T
    column, row = np.unravel_index(counts.argmax(), counts.shape)  # where most sources are
    axes.set(xlim=(starts[column], starts[column] + PART), ylim=(starts[row], starts[row] + PART), xticks=[], yticks=[])
    figure.suptitle("Find: radio sources in a simulated field\n(solid: found, dashed: true)", fontsize=12)


def tell(figure, path: str) -> None:
    """Show simulated galaxies with the class that the network gives them."""
    names = astrokeras.datasets.GALAXY_CLASSES
    _, (x, y) = astrokeras.datasets.simulated_galaxies(train=1, test=60, seed=5)
    shares = astrokeras.load_model(path).predict(x, verbose=0)
    order = [np.flatnonzero(y == label)[i] for i in range(2) for label in range(5)][:9]
    for axes, i in zip(figure.subplots(3, 3).flat, order):
        guess = shares[i].argmax()
        axes.imshow(x[i])
        axes.set(xticks=[], yticks=[])
        colour = "black" if guess == y[i] else ORANGE
        axes.set_xlabel(f"{names[guess]} {100 * shares[i, guess]:.0f} %", fontsize=10, color=colour, labelpad=2)
    figure.suptitle("Tell apart: simulated galaxies\n(class and probability of a network)", fontsize=12)


def make(figure, _) -> None:
    """Show digits that a diffusion model makes from noise."""
    model = astrokeras.applications.ddpm(weights="mnist")
    images = model.chain(6, seed=3, frames=6, sampler="ddim", steps=50, eta=1.0)
    for row, line in enumerate(figure.subplots(6, 6)):
        for column, axes in enumerate(line):
            axes.imshow(images[row, column, ..., 0], cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    figure.suptitle("Make: digits, from noise\n(a diffusion model trained on MNIST)", fontsize=12)


if __name__ == "__main__":
    main(*sys.argv[1:])
