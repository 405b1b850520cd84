"""What is in a set of images with objects: counts and sizes."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import rich.box
import rich.console
import rich.table

AXES = ("width", "height", "depth")


@dataclass(frozen=True)
class SetStatistics:
    """Counts and sizes of the objects of a set; `print` it for a table, `plots.box_statistics` draws it.

    Attributes:
        class_names: tuple of text.
        per_image: `(n,)` objects in each image.
        per_class: `(classes,)` objects of each class.
        images_with: `(classes,)` images that show the class.
        labels: `(k,)` of all objects, -2 = no class.
        sizes: `(k, dims)` of all objects in pixels, x first.
        difficult: `(k,)` difficulty of all objects, 0 where the set does not tell.

    Example:
        >>> import numpy as np, astrokeras
        >>> objects = [{"boxes": np.array([[0, 0, 4, 2], [5, 5, 11, 9]]), "labels": np.array([0, 1])},
        ...            {"boxes": np.array([[0, 0, 8, 3]]), "labels": np.array([1])}]
        >>> found = astrokeras.datasets.DetectionSet(np.zeros((2, 12, 12, 1)), objects, ["ring", "star"]).statistics()
        >>> found.per_class.tolist(), found.images_with.tolist(), found.percentiles(50).tolist()
        ([1, 2], [1, 2], [6.0, 3.0])
        >>> print(str(found).splitlines()[0])
        2 images, 3 objects: 1.5 an image (1 to 2)
    """

    class_names: tuple[str, ...]
    per_image: np.ndarray
    per_class: np.ndarray
    images_with: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    difficult: np.ndarray

    @classmethod
    def of(cls, objects: Sequence[Mapping], class_names: Sequence[str] = ()) -> "SetStatistics":
        """Measure the objects of images, dicts of boxes, labels and, where known, difficult."""
        per_image = np.array([len(one["labels"]) for one in objects])
        labels = np.concatenate([one["labels"] for one in objects])
        boxes = np.concatenate([one["boxes"] for one in objects])
        dims = boxes.shape[1] // 2
        class_names = tuple(class_names) or tuple(map(str, range(labels.max(initial=-1) + 1)))
        image = np.repeat(np.arange(len(per_image)), per_image)
        shown = np.unique(np.stack([image, labels]), axis=1)[1]
        known = "difficult" in objects[0]
        return cls(
            class_names,
            per_image,
            np.bincount(labels[labels >= 0], minlength=len(class_names)),
            np.bincount(shown[shown >= 0], minlength=len(class_names)),
            labels,
            boxes[:, dims:] - boxes[:, :dims],
            np.concatenate([one["difficult"] for one in objects]) if known else np.zeros(len(labels), "int32"),
        )

    def percentiles(self, shares=(5, 50, 95), label: int | None = None) -> np.ndarray:
        """Return percentiles of the sizes in pixels, `(len(shares), dims)` or `(dims,)`, x first; NaN where none.

        Args:
            shares: in percent, one or several.
            label: of a class; `None` takes all objects.
        """
        sizes = self.sizes if label is None else self.sizes[self.labels == label]
        if not len(sizes):
            return np.full((*np.shape(shares), self.sizes.shape[1]), np.nan)
        return np.percentile(sizes, shares, axis=0)

    def table(self) -> rich.table.Table:
        """Return the table for the terminal, one row a class."""
        n, counts = len(self.per_image), self.per_image
        title = f"{n} images, {counts.sum()} objects: {counts.mean():.1f} an image ({counts.min()} to {counts.max()})"
        table = rich.table.Table(title=title, title_justify="left", title_style="", box=rich.box.SIMPLE_HEAD)
        table.add_column("class")
        dims = self.sizes.shape[1]
        for heading in ("objects", "images", "difficult", *(f"{axis} 5-50-95 %" for axis in AXES[:dims])):
            table.add_column(heading, justify="right")
        for i, name in enumerate(self.class_names):
            numbers = self.per_class[i], self.images_with[i], (self.difficult[self.labels == i] > 0).sum()
            last = i == len(self.class_names) - 1
            table.add_row(name, *map(str, numbers), *self._sizes_text(i), end_section=last)
        total = (len(self.labels), int((counts > 0).sum()), int((self.difficult > 0).sum()))
        table.add_row("all", *map(str, total), *self._sizes_text(None))
        return table

    def __str__(self) -> str:
        """Return the table as text."""
        text = io.StringIO()
        rich.console.Console(file=text, width=200).print(self.table())
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).rstrip()

    def _sizes_text(self, label: int | None) -> list[str]:
        return [" - ".join(f"{value:.0f}" for value in axis) for axis in self.percentiles(label=label).T]
