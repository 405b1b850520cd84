"""What CIANNA prints while it runs: the progress line, the confusion matrix."""

import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from astrokeras.plots import margins

_STATE = "{task.completed:.0f} / {task.total:.0f} | B.Loss: {task.fields[loss]} | B.perf.: {task.fields[rate]} it/s"
_INTERVAL = 0.2  # seconds between two pictures of the bar


class ProgressLine:
    """A bar with the loss and the speed of the last batch; where there is no terminal, one line at the end.

    Args:
        label: `"Iter"` or `"Fwd"`.
        iteration: its number.
        batches: how many there will be.
        width: of the bar, in characters.
        silent: show nothing.
    """

    def __init__(self, label: str, iteration: int, batches: int, width: int, silent: bool = False):
        console = Console()
        if not console.is_terminal:
            console = Console(width=max(console.width, width + 90))
        self._bar = Progress(
            TextColumn(f"{label}: {iteration:5d}"),
            BarColumn(bar_width=width),
            TextColumn(_STATE),
            auto_refresh=False,
            console=console,
            disable=silent,
        )
        self._task = self._bar.add_task("", total=batches, loss="-", rate="-")
        self._done, self._loss, self._rate = 0, float("nan"), 0.0
        self._last = self._shown = 0.0  # times of the last batch and the last picture

    def __enter__(self):
        """Start the bar."""
        self._bar.start()
        self._last = self._shown = time.perf_counter()
        return self

    def __exit__(self, *exception):
        """Show the last state and stop."""
        self._draw()
        self._bar.stop()

    def advance(self, images: int, loss: float, batches: int = 1) -> None:
        """Say that batches of so many images are done, and their mean loss."""
        now = time.perf_counter()
        rate = batches * images / max(now - self._last, 1e-9)
        self._done, self._loss, self._rate = self._done + batches, loss, rate
        self._last = now
        if now - self._shown > _INTERVAL:
            self._draw()
            self._shown = now

    def _draw(self) -> None:
        self._bar.update(
            self._task, completed=self._done, loss=f"{self._loss:.5f}", rate=f"{self._rate:.0f}", refresh=True
        )


def best(values: np.ndarray) -> np.ndarray:
    """Return the position of the largest value of each row, the last one of equals, as CIANNA does.

    Example:
        >>> import numpy as np
        >>> from astrokeras.cianna.displays import best
        >>> best(np.array([[1, 5, 5], [7, 0, 2]])).tolist()
        [2, 0]
    """
    return values.shape[1] - 1 - values[:, ::-1].argmax(axis=1)


def confusion_text(matrix: np.ndarray, kind: int) -> str:
    """Write a confusion matrix as CIANNA does.

    Args:
        matrix: counts, row = true class, column = predicted class.
        kind: CIANNA's `confmat`: 1 the whole matrix with recall, precision and accuracy, 2 these three, 3 the accuracy.

    Example:
        >>> import numpy as np
        >>> from astrokeras.cianna.displays import confusion_text
        >>> print(confusion_text(np.array([[9, 1], [2, 8]]), 2))
         Recall:     90.00%    80.00%
         Precision:  81.82%    88.89%
         Accuracy:  85.00%
    """
    recall, precision, accuracy = margins(matrix)

    def shares(values) -> str:
        return "  ".join(f"{100 * value:7.2f}%" for value in values)

    if kind == 1:
        stars = "*" * max(0, 5 * len(matrix) - 3)
        lines = [f"   {stars}  ConfMat  {stars}   Recall"]
        for row, share in zip(matrix, recall, strict=True):
            lines.append("     " + "".join(f"{count:8d} |" for count in row) + f"{100 * share:11.2f}%")
        return "\n".join([*lines, f"Prec. {shares(precision)}  Acc {100 * accuracy:6.2f}%"])
    lines = [f" Recall:   {shares(recall)}", f" Precision:{shares(precision)}"] if kind == 2 else []
    return "\n".join([*lines, f" Accuracy: {100 * accuracy:6.2f}%"])
