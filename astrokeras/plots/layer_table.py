"""The layers of a network as a table for the terminal."""

import keras
import rich.box
import rich.table


def layer_table(layers: list[keras.layers.Layer], title: str = "") -> rich.table.Table:
    """Write layers, in their order, as a table with the total of their parameters.

    Args:
        layers: layers that have been called once.
        title: above the table.

    Returns:
        A `rich` table: `rich.print(table)`.

    Example:
        >>> import astrokeras
        >>> model = astrokeras.applications.lenet5()
        >>> astrokeras.plots.layer_table(model.layers[1:], "LeNet-5").row_count
        12
    """
    table = rich.table.Table(title=title or None, box=rich.box.SIMPLE_HEAD)
    for heading in ("layer", "kind", "kernel", "activation"):
        table.add_column(heading, no_wrap=True)
    for heading in ("output shape", "parameters"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in layers:
        table.add_row(*describe_layer(layer))
    table.add_section()
    table.add_row("total", "", "", "", "", f"{sum(layer.count_params() for layer in layers):,}")
    return table


def describe_layer(layer: keras.layers.Layer) -> tuple[str, ...]:
    """Return a layer's name, kind, kernel (and strides), activation, output shape and parameters as text.

    Example:
        >>> import astrokeras
        >>> astrokeras.plots.describe_layer(astrokeras.applications.lenet5().get_layer("conv1"))
        ('conv1', 'Conv2D', '5x5', 'relu_leaky', '(28, 28, 8)', '208')
    """
    config = layer.get_config()
    kernel = _times(config.get("kernel_size") or config.get("pool_size") or config.get("size"))
    strides = _times(config.get("strides"))
    if strides.strip("1x") and strides != kernel:
        kernel += f" / {strides}"
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return (
        layer.name,
        type(layer).__name__,
        kernel,
        "" if activation == "linear" else activation,
        str(tuple(layer.output.shape[1:])),
        f"{layer.count_params():,}",
    )


def _times(values) -> str:
    return "x".join(map(str, values)) if isinstance(values, (tuple, list)) else str(values or "")
