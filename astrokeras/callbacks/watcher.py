"""What the callbacks share: when they act, and where their figures go."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4  # figures side by side


class Watcher(keras.callbacks.Callback):
    """A callback that acts every few epochs, and may draw.

    Args:
        every: epochs between two acts; the last epoch always has one.
        folder: where figures go; `None` saves none.
        show: show figures in a notebook; elsewhere nothing is shown.

    Raises:
        ValueError: if `every` < 1.
    """

    def __init__(self, every: int = 1, folder: str | os.PathLike | None = None, show: bool = False):
        super().__init__()
        if every < 1:
            raise ValueError(f"Expected every >= 1 epochs; received every={every}.")
        self.every, self.show = every, show
        self.folder = None if folder is None else Path(folder)
        self._place = None

    def on_train_begin(self, logs=None) -> None:
        """Take a new place in the notebook for each training."""
        self._place = None

    def is_due(self, epoch: int) -> bool:
        """Tell whether this epoch, counted from 0, has its turn."""
        return (epoch + 1) % self.every == 0 or self.params.get("epochs") == epoch + 1

    @property
    def draws(self) -> bool:
        """Whether anyone will see a figure."""
        return self.folder is not None or (self.show and in_notebook())

    def keep(self, name: str, *figures: "Figure", dpi: int = 100) -> None:
        """Save figures, side by side, as `<name>.png`; in a notebook, show them in the place of the last ones."""
        png = as_png(figures, dpi)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{name}.png").write_bytes(png)
        if not (self.show and in_notebook()):
            return
        from IPython import display

        picture = display.Image(data=png, format="png")
        if self._place is None:
            self._place = display.display(picture, display_id=True)
        else:
            self._place.update(picture)


def in_notebook() -> bool:
    """Tell whether Python runs below a notebook, which can show figures."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def as_png(figures: "tuple[Figure, ...]", dpi: int) -> bytes:
    """Return a PNG file of figures, four in a row."""
    from PIL import Image

    files = [io.BytesIO() for _ in figures]
    for figure, file in zip(figures, files, strict=True):
        figure.savefig(file, format="png", dpi=dpi)
    if len(files) == 1:
        return files[0].getvalue()
    pictures = [Image.open(file).convert("RGB") for file in files]
    rows = [pictures[start : start + COLUMNS] for start in range(0, len(pictures), COLUMNS)]
    heights = [max(picture.height for picture in row) for row in rows]
    sheet = Image.new("RGB", (max(sum(picture.width for picture in row) for row in rows), sum(heights)), "white")
    for index, row in enumerate(rows):
        for column, picture in enumerate(row):
            sheet.paste(picture, (sum(left.width for left in row[:column]), sum(heights[:index])))
    file = io.BytesIO()
    sheet.save(file, format="png")
    return file.getvalue()


def check_detects(model: keras.Model) -> None:
    """Refuse a model that cannot detect."""
    if not callable(getattr(model, "detect", None)):
        raise ValueError(
            f"Expected a model with detect(images), such as models.YoloDetector; received {type(model).__name__}."
        )
