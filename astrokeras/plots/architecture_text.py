"""The layers of a model as text and as LaTeX."""

import re
from collections import Counter
from collections.abc import Sequence

import keras
import rich.console

from astrokeras.plots.layer_table import layer_table
from astrokeras.plots.network_graph import SIGNS, Placed, activation_of, kind_of, placed_layers, times

COLUMNS = {  # CIANNA's argument -> width and heading
    "in_size": ("p{2.0cm}<{\\centering}", "In. size"),
    "size": ("p{1.6cm}<{\\centering}", "N. filters"),
    "f_size": ("p{2.0cm}<{\\centering}", "F. size"),
    "stride": ("p{1.2cm}<{\\centering}", "Stride"),
    "padding": ("p{1.2cm}<{\\centering}", "Padding"),
    "in_padding": ("p{1.2cm}<{\\centering}", "Intern. Pad."),
    "out_size": ("p{2.0cm}<{\\centering}", "Out. size"),
    "activation": ("p{1.2cm}", "Activ."),
    "dropout": ("p{1.2cm}<{\\centering}", "Dropout"),
    "param_count": ("p{1.4cm}<{\\centering}", "N. param."),
}
SHOWN = ("in_size", "size", "f_size", "stride", "padding", "out_size", "activation")
NAMES = {"convolution": "Conv", "pooling": "Pool", "dense": "Dense", "normalization": "Norm", "addition": "Add"}
NAMES |= {"concatenation": "Concat", "upsampling": "Upsample"}


def architecture_table(model: keras.Model) -> str:
    """Write the layers of a model as plain text, layers of nested models too.

    Args:
        model: functional or sequential, built.

    Returns:
        Lines of name, kind, kernel and strides, activation, output shape and parameters, and the total: the text of
        `layer_table`.

    Raises:
        ValueError: if the model is not functional or sequential, or not built.

    Example:
        >>> import astrokeras
        >>> text = astrokeras.plots.architecture_table(astrokeras.applications.lenet5())
        >>> print(*text.splitlines()[4].split())
        conv1 Conv2D 5x5 relu_leaky (28, 28, 8) 208
    """
    layers = list(dict.fromkeys(one.layer for one in placed_layers(model) if one.layer is not None))
    table = layer_table(layers, f"{model.name}, input {model.input_shape}")
    table.title_justify = "left"
    console = rich.console.Console(width=10_000, color_system=None)
    console.width = console.measure(table).maximum
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().strip("\n").splitlines())


def architecture_latex(model: keras.Model, columns: Sequence[str] = SHOWN) -> str:
    r"""Write the layers of a model as the LaTeX table of CIANNA's `print_arch_tex`.

    Sizes are x first and have three axes, as CIANNA prints them; channels are not told. Activations, dropout, paddings,
    flattening and YOLO heads belong to the row of the layer before or after them. Activations have CIANNA's signs where
    it has them: LIN, RELU (its own leaky one), LOGI, SMAX, YOLO. Rows that CIANNA lacks name the rows that they join.

    Args:
        model: functional or sequential, built; nested models are opened.
        columns: which of `in_size`, `size` (filters or neurons), `f_size` (of the filter), `stride`, `padding`,
            `in_padding`, `out_size`, `activation`, `dropout`, `param_count`; they come in this order.

    Returns:
        A LaTeX document of one table: `Path("arch.tex").write_text(...)`, then `pdflatex arch.tex`.

    Raises:
        ValueError: if a column is unknown, or the model is not functional or sequential, or not built.

    Reference:
        CIANNA 1.0, `print_arch_tex` (src/auxil.c, print_architecture_tex).

    Example:
        >>> import astrokeras
        >>> text = astrokeras.plots.architecture_latex(astrokeras.applications.lenet5())
        >>> print(text.splitlines()[10])
        1 & Conv\_1 & 28x28x1 & 8 & 5x5x1 & 1:1:1 & 2:2:0 & 28x28x1 & RELU \\
    """
    wrong = [name for name in columns if name not in COLUMNS]
    if wrong or not columns:
        raise ValueError(f"Expected columns among {', '.join(COLUMNS)}; received {', '.join(wrong) or 'none'}.")
    shown = [name for name in COLUMNS if name in columns]
    rows = _rows(placed_layers(model))
    lines = [
        " & ".join([str(number), row["type"], *(row[name] for name in shown)]) for number, row in enumerate(rows, 1)
    ]
    widths, headings = zip(*(COLUMNS[name] for name in shown), strict=True)
    rule = "\\hline\\noalign{\\smallskip}"
    head = ["\\documentclass[border=2pt]{standalone}", "\\usepackage[utf8]{inputenc}", "\\usepackage{array}"]
    head += ["\\renewcommand{\\arraystretch}{1.1}", "\\begin{document}", "\\centering"]
    head += [f"\\begin{{tabular}}{{p{{0.6cm}}p{{1.7cm}}{''.join(widths)}}}", rule]
    head += [" & ".join(["Id.", "Type", *headings]) + " \\\\", rule]
    return "\n".join([*head, *(f"{line} \\\\" for line in lines), "", rule, "\\end{tabular}", "\\end{document}", ""])


def _rows(placed: Sequence[Placed]) -> list[dict[str, str]]:
    """Return the cells of each row."""
    rows: list[dict[str, str]] = []
    counts: Counter = Counter()
    row_of: dict[int, int] = {}  # call -> row that it belongs to; inputs have none
    before: dict[int, dict] = {}  # call of a padding -> what it adds
    shapes: dict[int, tuple] = {}  # call -> shape in front of its paddings
    for number, one in enumerate(placed):
        source = one.sources[0] if one.sources else None
        kind = kind_of(one.layer)
        if kind in ("folded", "dropout", "padding", "head"):
            if source in row_of:
                row_of[number] = row_of[source]
            if kind == "padding":
                before[number] = before.get(source, {}) | _padding(one.layer, len(one.shape) - 1)
                shapes[number] = shapes.get(source, one.given)
            elif source in row_of:
                _fold(rows[row_of[source]], one.layer, kind)
            continue
        if one.layer is None:
            continue
        shape = shapes.get(source, one.given)
        name = _name(one.layer, kind)
        counts[name] += 1
        row = dict.fromkeys(COLUMNS, "") | {"type": f"{_escaped(name)}\\_{counts[name]}", "activation": "LIN"}
        row |= {"in_size": _size(shape), "out_size": _size(one.shape), "param_count": str(one.layer.count_params())}
        row |= _cells(one.layer, kind, shape, one.given, before.get(source, {}))
        joined = [str(row_of[other] + 1) if other in row_of else "input" for other in one.sources]
        if len(joined) > 1:
            row["f_size"] = f"Id. {', '.join(joined)}"
        row["activation"] = _sign(one.layer)
        row_of[number] = len(rows)
        rows.append(row)
    return rows


def _fold(row: dict[str, str], layer: keras.layers.Layer, kind: str) -> None:
    """Write what a layer adds to the row of the layer before it."""
    if kind == "dropout":
        row["dropout"] = f"{round(100 * layer.get_config().get('rate', 0))}\\%"
    elif kind == "head":
        row["activation"] = "YOLO"
    elif activation_of(layer) != "linear":
        row["activation"] = _sign(layer)


def _cells(layer: keras.layers.Layer, kind: str, shape: tuple, padded: tuple, before: dict) -> dict[str, str]:
    """Return the cells that one kind of layer has; `padded` is the shape of its input with its paddings."""
    config, rank = layer.get_config(), len(shape) - 1
    if kind == "convolution":
        kernel, strides = (_per_axis(config[name], rank) for name in ("kernel_size", "strides"))
        pads = before.get("padding") or _same(config["padding"], padded[:-1], kernel, strides)
        inner = before.get("in_padding", (0,) * rank)
        cells = {"size": str(config.get("filters", shape[-1])), "in_padding": _three(inner, ":", 0)}
        return cells | {"f_size": _three(kernel), "stride": _three(strides, ":"), "padding": _three(pads, ":", 0)}
    if kind == "pooling":
        window = _per_axis(config["pool_size"], rank) if "pool_size" in config else shape[:-1]
        strides = _per_axis(config.get("strides") or window, rank)
        pads = config.get("padding", "valid")
        pads = _same(pads, shape[:-1], window, strides) if isinstance(pads, str) else _per_axis(pads, rank)
        return {"f_size": _three(window), "stride": _three(strides, ":"), "padding": _three(pads, ":", 0)}
    if kind == "dense":
        return {"size": str(config["units"])}
    if kind == "normalization" and "group_size" in config:
        cells = {"size": f"N.Gr. {-(-(shape[-1] - config['set_off']) // config['group_size'])}"}
        return cells | {"f_size": f"Gr.Size {config['group_size']}", "padding": f"Off {config['set_off']}"}
    if kind == "normalization" and "depth" in config:
        return {"size": f"ch\\_range: {config['depth']}"}
    return {"f_size": _three(_per_axis(config["size"], rank))} if kind == "upsampling" else {}


def _name(layer: keras.layers.Layer, kind: str) -> str:
    own = type(layer).__name__
    special = {"LocalResponseNormalization": "LRN", "BatchNormalization": "BNorm"}
    return special.get(own, NAMES.get(kind, own))


def _sign(layer: keras.layers.Layer) -> str:
    name = activation_of(layer)
    return SIGNS.get(name, _escaped(name))


def _padding(layer: keras.layers.Layer, rank: int) -> dict:
    """Return the zeros around the map, or between its pixels, one entry an axis (pairs where they are uneven)."""
    config = layer.get_config()
    if "padding" not in config:
        return {"in_padding": _per_axis(config["amount"], rank)}
    pads = config["padding"]
    pads = [pads] if rank == 1 and not isinstance(pads, int) else _per_axis(pads, rank)
    pairs = [(pad, pad) if isinstance(pad, int) else tuple(pad) for pad in pads]
    return {"padding": tuple(_uneven(*pair) for pair in pairs)}


def _same(padding: str, shape: tuple, kernel: tuple, strides: tuple) -> tuple:
    """Return the zeros that Keras adds on each axis, as a number or, where the sides differ, as two."""
    if padding == "valid":
        return (0,) * len(kernel)
    if padding == "causal":
        return tuple(_uneven(size - 1, 0) for size in kernel)
    steps = zip(shape, kernel, strides, strict=True)
    totals = [max((-(-(n or s) // s) - 1) * s + k - (n or s), 0) for n, k, s in steps]
    return tuple(_uneven(total // 2, total - total // 2) for total in totals)


def _uneven(low: int, high: int):
    return low if low == high else f"{low}+{high}"


def _per_axis(value, rank: int) -> tuple:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _three(values: Sequence, sign: str = "x", missing: int = 1) -> str:
    return sign.join(map(str, (*tuple(values)[::-1], missing, missing)[: max(3, len(values))]))


def _size(shape: Sequence) -> str:
    return times(shape) if len(shape) < 2 else _three(shape[:-1])


def _escaped(text: str) -> str:
    return re.sub(r"([&%$#_{}])", r"\\\1", text)
