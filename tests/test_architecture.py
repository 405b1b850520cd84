"""The network as a table, as LaTeX and as a drawing."""

import itertools
import re

import keras
import numpy as np
import pytest
from matplotlib.patches import Circle, Rectangle

import astrokeras
from astrokeras import applications, plots

DIAGRAMS = {
    "lenet5": lambda: applications.lenet5(),
    "yolo_voc": lambda: applications.yolo_voc(),
    "resnet": lambda: applications.resnet(depth=20),
    "unet": lambda: applications.unet(),
    "variational_autoencoder": lambda: applications.variational_autoencoder(),
    "ddpm": lambda: applications.ddpm(),
    "cifar10_cnn": lambda: applications.cifar10_cnn(),
    "stellar_spectra_cnn": lambda: applications.stellar_spectra_cnn(),
    "yolo_sdc2": lambda: applications.yolo_sdc2(),
}


def fronts(figure):
    """Return the front of each box, and the circles, by the name of the layer."""
    shapes = [patch for patch in figure.axes[0].patches if patch.get_gid()]
    boxes = {patch.get_gid(): patch for patch in shapes if isinstance(patch, Rectangle)}
    return boxes, {patch.get_gid(): patch for patch in shapes if isinstance(patch, Circle)}


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def arrows(figure):
    return [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None) is not None]


# --- text ----------------------------------------------------------------------------------------------------------


def test_table_is_that_of_the_layers():
    text = plots.architecture_table(applications.lenet5())
    lines = [line.split() for line in text.splitlines() if line.strip()]
    assert text.splitlines()[0] == "lenet5, input (None, 28, 28, 1)"
    assert ["conv2", "Conv2D", "5x5", "relu_leaky", "(14,", "14,", "16)", "3,216"] in lines
    assert lines[-1] == ["total", "238,570"] and "…" not in text and "\x1b" not in text


def test_table_opens_nested_models_and_counts_shared_layers_once():
    nested = applications.autoencoder()
    assert f"{nested.count_params():,}" == plots.architecture_table(nested).split()[-1]
    assert plots.architecture_table(nested).count("Conv2D") > 4
    shared = keras.layers.Dense(3, name="shared")
    one, two = keras.Input((2,), name="one"), keras.Input((2,), name="two")
    model = keras.Model([one, two], keras.layers.Add()([shared(one), shared(two)]))
    assert plots.architecture_table(model).split()[-1] == "9"
    assert plots.architecture_latex(model).count("Dense\\_") == 2


def cells(latex):
    """Return the rows of the table as lists of cells, the heading first."""
    return [line.removesuffix("\\\\").split(" & ") for line in latex.splitlines() if " & " in line]


def test_latex_by_hand():
    net = astrokeras.Network((32, 24, 3), activation="relu_leaky", name="my_net")
    net.conv(8, (5, 3), (2, 1), padding=(1, 2)).norm(4).pool(2).conv(6, 2, internal_padding=1, padding="valid")
    net.global_pool("average").dense(10, activation="softmax", dropout=0.25)
    latex = plots.architecture_latex(
        net.build(), ["dropout", "param_count", "in_padding", *plots.architecture_latex.__globals__["SHOWN"]]
    )
    heading, *rows = cells(latex)
    assert [cell.strip() for cell in heading] == [
        "Id.", "Type", "In. size", "N. filters", "F. size", "Stride", "Padding", "Intern. Pad.", "Out. size",
        "Activ.", "Dropout", "N. param.",
    ]  # fmt: skip
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["1", "Conv\\_1", "24x32x1", "8", "3x5x1", "1:2:1", "2:1:0", "0:0:0", "26x15x1", "RELU", "", "368"],
        ["2", "Norm\\_1", "26x15x1", "N.Gr. 2", "Gr.Size 4", "", "Off 0", "", "26x15x1", "LIN", "", "4"],
        ["3", "Pool\\_1", "26x15x1", "", "2x2x1", "2:2:1", "0:0:0", "", "13x7x1", "LIN", "", "0"],
        ["4", "Conv\\_2", "13x7x1", "6", "2x2x1", "1:1:1", "0:0:0", "1:1:0", "24x12x1", "RELU", "", "198"],
        ["5", "Pool\\_2", "24x12x1", "", "24x12x1", "24:12:1", "0:0:0", "", "6", "LIN", "", "0"],
        ["6", "Dense\\_1", "6", "10", "", "", "", "", "10", "SMAX", "25\\%", "70"],
    ]


def test_latex_joins_heads_and_uneven_zeros():
    _, *rows = cells(plots.architecture_latex(applications.unet()))
    joined = [row for row in rows if row[1].startswith("Concat")]
    assert len(joined) == 2
    for row in joined:
        before = [int(number) for number in row[4].removeprefix("Id. ").split(", ")]
        assert max(before) == int(row[0]) - 1 and all(1 <= number < int(row[0]) for number in before)
    assert cells(plots.architecture_latex(applications.yolo_voc()))[-1][-1].strip() == "YOLO"
    strided = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, 2, padding="same")])
    assert cells(plots.architecture_latex(strided))[-1][6] == "0+1:0+1:0"
    causal = keras.Sequential([keras.Input((8, 1)), keras.layers.Conv1D(2, 3, padding="causal")])
    assert cells(plots.architecture_latex(causal))[-1][6] == "2+0:0:0"


@keras.saving.register_keras_serializable(package="astrokeras_tests")
class Odd_Name(keras.layers.Layer):  # noqa: N801
    def call(self, x):
        return x


@pytest.mark.parametrize("name", ["lenet5", "resnet", "unet", "ddpm", "yolo_sdc2", "stellar_spectra_cnn", "odd"])
def test_latex_is_well_formed(name):
    if name == "odd":
        model = keras.Sequential([keras.Input((8, 8, 1)), Odd_Name(), keras.layers.Reshape((64,))])
    else:
        model = DIAGRAMS[name]()
    latex = plots.architecture_latex(model)
    assert latex.count("{") == latex.count("}")
    depth = 0
    for letter in latex:
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0
    stack = []
    for what, environment in re.findall(r"\\(begin|end)\{(\w+)\}", latex):
        assert what == "begin" or stack.pop() == environment
        stack += [environment] * (what == "begin")
    assert not stack and not re.search(r"(?<!\\)[_%#$^~]", latex)
    rows = cells(latex)
    assert {len(row) for row in rows} == {9} and len(rows) > 2
    columns = re.search(r"begin\{tabular\}\{(.*)\}", latex)[1]
    assert len(re.findall(r"p\{", columns)) == 9


# --- the drawing ---------------------------------------------------------------------------------------------------


def test_diagram_of_lenet_is_to_scale():
    figure = plots.architecture_diagram(applications.lenet5(), title="LeNet-5")
    boxes, circles = fronts(figure)
    assert list(boxes) == ["input", "conv1", "pool1", "conv2", "pool2", "dense1", "dense2", "dense3"] and not circles
    width = {name: box.get_width() for name, box in boxes.items()}
    height = {name: box.get_height() for name, box in boxes.items()}
    assert height["conv1"] / height["conv2"] == pytest.approx(2**0.5) == height["conv2"] / height["pool2"]
    assert width["conv2"] / width["conv1"] == pytest.approx(2**0.5) and width["pool1"] == width["conv1"]
    assert height["dense1"] / height["dense2"] == pytest.approx(2**0.5)
    assert sorted(boxes.values(), key=lambda box: box.get_x()) == list(boxes.values())
    said = words(figure)
    for text in ("conv 5×5", "28×28×8", "max pool 2×2", "7×7×16", "dense", "256", "dropout 0.5", "softmax", "conv1"):
        assert text in said
    assert len(arrows(figure)) == 7 and figure.get_suptitle() == "LeNet-5"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["input", "convolution", "pooling", "dense"]


@pytest.mark.parametrize(("depth", "times"), [(20, "2 2 3"), (56, "8 8 9")])
def test_diagram_folds_repeated_blocks(depth, times):
    figure = plots.architecture_diagram(applications.resnet(depth=depth))
    boxes, circles = fronts(figure)
    assert sorted(text.removeprefix("× ") for text in words(figure) if text.startswith("× ")) == times.split()
    assert len(circles) == 5 and words(figure).count("+") == 5
    assert "stage2_block1_shortcut_conv" in boxes and len(boxes) == 16
    low, high = boxes["stage2_block1_1_conv"], boxes["stage2_block1_shortcut_conv"]
    assert high.get_y() > low.get_y() + low.get_height()  # the projection runs above
    assert len(arrows(figure)) >= 20


def test_diagram_leads_skips_over_what_lies_between():
    figure = plots.architecture_diagram(applications.unet())
    boxes, circles = fronts(figure)
    assert len(circles) == 2 and words(figure).count("||") == 2
    tracks = [line.get_xydata() for line in figure.axes[0].lines if len(line.get_xydata()) == 3]
    assert len(tracks) == 2
    for track in tracks:
        (x0, _), (_, top), (x1, _) = track
        between = [box for box in boxes.values() if x0 < box.get_x() and box.get_x() + box.get_width() < x1]
        between = [box for box in between if abs(box.get_y() - top) < 3]
        assert between and all(box.get_y() + box.get_height() < top or box.get_y() > top for box in between)
    assert any(x1 == pytest.approx(circles["up1_concat"].center[0], abs=0.1) for (_, _, (x1, _)) in tracks)


def test_diagram_of_other_dimensions():
    boxes, _ = fronts(plots.architecture_diagram(applications.stellar_spectra_cnn()))
    assert boxes["conv1"].get_height() / boxes["conv2"].get_height() == pytest.approx(2.0)  # 944 and 236 pixels
    figure = plots.architecture_diagram(applications.stellar_spectra_cnn())
    assert len(figure.axes[0].patches) == len(boxes)  # no slant
    figure = plots.architecture_diagram(applications.yolo_sdc2())
    assert "64×64×256×1" in words(figure) and "conv 3×3×8 /1×8" in words(figure)


def test_diagram_of_many_inputs_and_outputs():
    image, extra = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="extra")
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, name="conv")(image))
    y = keras.layers.Dense(5, name="side")(extra)
    x = keras.layers.Dense(6, name="main")(keras.layers.Concatenate(name="both")([x, y]))
    model = keras.Model([image, extra], [keras.layers.Dense(2, name="a")(x), keras.layers.Dense(1, name="b")(x)])
    boxes, circles = fronts(plots.architecture_diagram(model))
    assert set(boxes) == {"image", "extra", "conv", "side", "main", "a", "b"} and set(circles) == {"both"}


@pytest.mark.parametrize("name", DIAGRAMS)
def test_diagram_is_readable(name):
    figure = plots.architecture_diagram(DIAGRAMS[name]())
    boxes, circles = fronts(figure)
    shapes = [patch.get_bbox() for patch in boxes.values()]
    assert not any(one.overlaps(two) for one, two in itertools.combinations(shapes, 2))
    figure.canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    places = np.array([text.get_window_extent().extents for text in texts])
    places += np.array([0.5, 2, -0.5, -2])  # the lines of a text touch
    low, high = places[:, None, :2], places[None, :, 2:]
    over = ((low < high) & (low.transpose(1, 0, 2) < high.transpose(1, 0, 2))).all(axis=2)
    np.fill_diagonal(over, False)
    assert not over.any(), [(texts[i].get_text(), texts[j].get_text()) for i, j in np.argwhere(over)[:4]]
    limits = figure.axes[0].get_window_extent().padded(3)
    assert all(limits.x0 <= x0 and x1 <= limits.x1 for x0, _, x1, _ in places)
    assert figure.get_size_inches()[0] < 22


@pytest.mark.parametrize("write", [plots.architecture_table, plots.architecture_latex, plots.architecture_diagram])
def test_refusals(write):
    with pytest.raises(ValueError, match="functional or sequential model that is built; received Sequential"):
        write(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="received Dense"):
        write(keras.layers.Dense(2))
    with pytest.raises(ValueError, match="Expected columns among in_size, .*; received bias"):
        plots.architecture_latex(applications.lenet5(), ["size", "bias"])


def test_diagram_names_what_conditions_every_block():
    figure = plots.architecture_diagram(applications.ddpm())
    boxes, circles = fronts(figure)
    said = words(figure)
    assert "time_dense" in boxes and "conv_in" in boxes and len(circles) > 8
    assert sum(text.replace("\n", "_") == "condition_dense" for text in said) >= 3
    (height,) = {boxes[name].get_bbox().y0 for name in ("conv_in",)}
    assert boxes["time_dense"].get_bbox().y0 > height  # the images are the main path, the time comes from above
