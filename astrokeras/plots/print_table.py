"""Print a table at its full width, whatever the width of the terminal or log."""

import rich.console
import rich.table


def print_table(table: rich.table.Table) -> None:
    r"""Print a table without cutting its columns; a narrow terminal wraps the lines.

    Args:
        table: a `rich` table, as `confusion_table` and `layer_table` return it.

    Example:
        >>> import astrokeras
        >>> astrokeras.plots.print_table(astrokeras.plots.confusion_table([[3, 0], [1, 2]]))
        <BLANKLINE>
          true \ predicted       0     1  recall
        ...
          precision         75.00%  100%  83.33%
        <BLANKLINE>
    """
    console = rich.console.Console()
    wanted = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    rich.console.Console(width=max(console.width, wanted)).print(table)
