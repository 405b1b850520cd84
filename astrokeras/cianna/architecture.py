"""The table of the layers in LaTeX."""

import shutil
import subprocess
from pathlib import Path

from astrokeras.cianna import state
from astrokeras.cianna.shapes import shapes
from astrokeras.cianna_files import Conv, Dense, LocalNorm, Norm, Pool

_NAMES = {Conv: "Conv", Pool: "Pool", Norm: "Norm", LocalNorm: "LRN", Dense: "Dense"}
_WIDTHS = {
    "in_size": "p{2.0cm}<{\\centering}",
    "size": "p{1.6cm}<{\\centering}",
    "f_size": "p{2.0cm}<{\\centering}",
    "stride": "p{1.2cm}<{\\centering}",
    "padding": "p{1.2cm}<{\\centering}",
    "in_padding": "p{1.2cm}<{\\centering}",
    "out_size": "p{2.0cm}<{\\centering}",
    "activation": "p{1.2cm}",
    "bias": "p{0.8cm}<{\\centering}",
    "dropout": "p{1.2cm}<{\\centering}",
    "param_count": "p{1.4cm}<{\\centering}",
}
_HEADINGS = (
    "In. size", "N. filters", "F. size", "Stride", "Padding", "Intern. Pad.", "Out. size", "Activ.", "Bias", "Dropout",
    "N. param.",
)  # fmt: skip


def print_arch_tex(
    path: str,
    file_name: str,
    size: int = 1,
    in_size: int = 1,
    f_size: int = 1,
    out_size: int = 1,
    stride: int = 1,
    padding: int = 1,
    in_padding: int = 0,
    activation: int = 0,
    bias: int = 0,
    dropout: int = 0,
    param_count: int = 0,
    network: int | None = None,
) -> None:
    """Write a table of the layers as LaTeX, and as PDF where `pdflatex` is installed: CIANNA's `print_arch_tex`.

    Args:
        path: folder, which is made if it is missing; the file is `path + file_name + ".tex"`, so end it with `/`.
        file_name: without its ending.
        size: 1 adds the column, 0 leaves it out: number of filters or neurons.
        in_size: likewise, size of the input.
        f_size: size of the filters.
        out_size: size of the output.
        stride: strides.
        padding: padding.
        in_padding: internal padding.
        activation: activation.
        bias: value of the bias input.
        dropout: rate of the dropout.
        param_count: number of weights.
        network: number of the network; the last one where it is not given.

    Example:
        >>> import os, tempfile
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4], 1, 3, network=0, no_logo=1)
        network 0: input 4x1x1, 1 channel; targets of 3; batch of 8; float32
        >>> cnn.dense(3, activation="SMAX")
        layer 1: dense 3 neurons, SMAX, bias 0.1: 3, 20 weights
        0
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cnn.print_arch_tex(f"{folder}/", "arch")
        ...     os.path.exists(f"{folder}/arch.tex")
        True
    """
    net = state.find(network)
    shown = (in_size, size, f_size, stride, padding, in_padding, out_size, activation, bias, dropout, param_count)
    Path(path).mkdir(parents=True, exist_ok=True)
    file = Path(f"{path}{file_name}.tex")
    file.write_text(_tex([bool(one) for one in shown], _rows(net)))
    if shutil.which("pdflatex"):
        command = ["pdflatex", "--interaction=batchmode", f"-output-directory={path}", str(file)]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _rows(net: state.NetworkState) -> list[list[str]]:
    """Return the cells of the table: number and name, then one cell per heading."""
    counts, rows = dict.fromkeys(_NAMES.values(), 0), []
    sizes = shapes(net.records)
    for number, layer in enumerate(net.records.layers, 1):
        name, before, after = _NAMES[type(layer)], sizes[number - 1], sizes[number]
        counts[name] += 1
        cells = dict.fromkeys(_WIDTHS, "")
        cells["in_size"], cells["out_size"] = _x(before[:3]), _x(after[:3])
        if isinstance(layer, Conv):
            cells |= {
                "size": str(layer.filters),
                "f_size": _x(layer.kernel_size),
                "in_padding": _c(layer.internal_padding),
            }
            if len(before) == 1:
                cells["in_size"] = _x(layer.input_size)
        elif isinstance(layer, Pool):
            cells["f_size"] = _x(before[:3] if layer.is_global else layer.pool_size)
        elif isinstance(layer, Norm):
            cells |= {"size": f"N.Gr. {len(layer.gamma)}", "f_size": f"Gr.Size {layer.group_size}"}
            cells["padding"] = f"Off {layer.set_off}"
        elif isinstance(layer, LocalNorm):
            cells["size"] = f"ch\\_range: {layer.depth}"
        else:
            cells |= {"size": str(layer.units), "in_size": str(len(layer.weights)), "out_size": str(layer.units)}
        if isinstance(layer, Conv | Pool):
            cells |= {"stride": _c(layer.strides), "padding": _c(layer.padding)}
        cells["activation"] = layer.activation[:4].split("_")[0]
        if hasattr(layer, "dropout"):
            cells["dropout"] = f"{int(layer.dropout * 100)}\\%"
        if hasattr(layer, "weights"):
            cells |= {"bias": f"{layer.bias_value:.2f}", "param_count": str(layer.weights.size)}
        rows.append([str(number), f"{name}\\_{counts[name]}", *cells.values()])
    return rows


def _tex(shown: list[bool], rows: list[list[str]]) -> str:
    """Return the document, with the columns that are shown."""

    def line(cells: list[str]) -> str:
        return " & ".join(cell for cell, show in zip(cells, [True, True, *shown], strict=True) if show) + " \\\\"

    widths = "".join(width for width, show in zip(_WIDTHS.values(), shown, strict=True) if show)
    rule = "\\hline\\noalign{\\smallskip}"
    head = ["\\documentclass[border=2pt]{standalone}", "\\usepackage[utf8]{inputenc}", "\\usepackage{array}"]
    head += ["\\renewcommand{\\arraystretch}{1.1}", "\\begin{document}", "\\centering"]
    head += [f"\\begin{{tabular}}{{p{{0.6cm}}p{{1.4cm}}{widths}}}", rule, line(["Id.", "Type", *_HEADINGS]), rule]
    return "\n".join([*head, *map(line, rows), "", rule, "\\end{tabular}", "\\end{document}", ""])


def _x(size) -> str:
    return "x".join(map(str, size))


def _c(size) -> str:
    return ":".join(map(str, size))
