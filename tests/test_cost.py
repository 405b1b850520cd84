import keras
import numpy as np
import pytest

import astrokeras
from astrokeras import applications, backend, plots
from astrokeras.cost import Cost, EnergyMeter, LayerCost, Measured
from astrokeras.cost.energy import co2


def build(shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


# counting


def test_lenet5_by_hand():
    found = astrokeras.cost(applications.lenet5())
    # 5*5*1*8*28*28 + 5*5*8*16*14*14 + 784*256 + 256*128 + 128*10
    assert found.multiply_adds == 156800 + 627200 + 200704 + 32768 + 1280 == 1018752
    assert found.parameters == 238570
    by_name = {layer.name: layer for layer in found.layers}
    assert by_name["conv2"] == LayerCost("conv2", "Conv2D", (14, 14, 16), 3216, 627200, 4 * 14 * 14 * 16)


def test_darknet19_at_224():
    """The plain network has 5.58e9 operations (Redmon & Farhadi 2016, table 6), two for a multiply-add."""
    convolutions = [(224, 3, 3, 32), (112, 3, 32, 64)]
    for side, narrow in ((56, 64), (28, 128)):
        convolutions += [(side, 3, narrow, 2 * narrow), (side, 1, 2 * narrow, narrow), (side, 3, narrow, 2 * narrow)]
    for side, narrow in ((14, 256), (7, 512)):
        convolutions += [(side, 3, narrow, 2 * narrow)]
        convolutions += [(side, 1, 2 * narrow, narrow), (side, 3, narrow, 2 * narrow)] * 2
    convolutions += [(7, 1, 1024, 1000)]
    by_hand = sum(side**2 * kernel**2 * given * made for side, kernel, given, made in convolutions)
    assert astrokeras.cost(applications.darknet19((224, 224, 3))).multiply_adds == by_hand
    assert by_hand == pytest.approx(5.58e9 / 2, rel=0.005) and len(convolutions) == 19


def test_cubes_by_hand():
    model = build(
        (8, 6, 4, 2),
        keras.layers.Conv3D(3, (3, 1, 2), strides=2, padding="same"),  # 4 x 3 x 2
        keras.layers.MaxPooling3D((2, 1, 1)),  # 2 x 3 x 2
        keras.layers.Conv3DTranspose(5, 2, strides=2),
        keras.layers.Flatten(),
        keras.layers.Dense(7),
    )
    found = astrokeras.cost(model)
    assert found.multiply_adds == 24 * 6 * 2 * 3 + 12 * 8 * 3 * 5 + 4 * 6 * 4 * 5 * 7
    values = [8 * 6 * 4 * 2, 24 * 3, 12 * 3, 96 * 5, 96 * 5, 7]
    assert found.training_memory == 4 * sum(values) and found.input_memory == 4 * values[0]
    assert found.inference_memory == 4 * (96 * 5 + 96 * 5)


@pytest.mark.parametrize(
    ("model", "multiply_adds"),
    [
        (build((10, 2), keras.layers.Conv1D(4, 3)), 8 * 3 * 2 * 4),
        (build((6, 6, 4), keras.layers.Conv2D(8, 3, groups=2, padding="same")), 36 * 9 * 2 * 8),
        (build((4, 4, 4, 2), keras.layers.Conv3D(3, 2, strides=2)), 8 * 8 * 2 * 3),
        (build((5, 5, 2), keras.layers.Conv2DTranspose(3, 2, strides=2)), 25 * 4 * 2 * 3),
        (build((6, 6, 4), keras.layers.DepthwiseConv2D(3, padding="same")), 36 * 9 * 4),
        (build((6, 6, 4), keras.layers.SeparableConv2D(5, 3, padding="same")), 36 * 9 * 4 + 36 * 4 * 5),
        (build((7, 3), keras.layers.Dense(5)), 7 * 3 * 5),
        (build((4, 4, 1), build((4, 4, 1), keras.layers.Conv2D(2, 3)), keras.layers.Flatten()), 4 * 9 * 2),
    ],
)
def test_layers_by_hand(model, multiply_adds):
    assert astrokeras.cost(model).multiply_adds == multiply_adds
    assert astrokeras.cost(model).parameters == model.count_params()


def test_attention_by_hand():
    queries, values = keras.Input((5, 6)), keras.Input((7, 4))
    attended = keras.layers.MultiHeadAttention(2, 3, value_dim=8)(queries, values)
    found = astrokeras.cost(keras.Model([queries, values], attended))
    projections = 5 * 6 * 2 * 3 + 7 * 4 * 2 * 3 + 7 * 4 * 2 * 8 + 5 * 2 * 8 * 6
    assert found.multiply_adds == projections + 2 * 5 * 7 * (3 + 8)


def test_a_layer_that_is_called_twice():
    inputs, layer = keras.Input((6, 6, 2)), keras.layers.Conv2D(2, 3, padding="same")
    model = keras.Model(inputs, layer(layer(inputs)))
    found = astrokeras.cost(model)
    assert found.multiply_adds == 2 * 36 * 9 * 2 * 2
    assert found.parameters == model.count_params() == 38


def test_a_shortcut_is_held_until_it_is_used():
    inputs = keras.Input((4,))
    wide = keras.layers.Dense(10)(inputs)
    far = keras.layers.Dense(100)(keras.layers.Dense(100)(wide))
    model = keras.Model(inputs, keras.layers.Concatenate()([far, wide]))
    found = astrokeras.cost(model)
    assert found.inference_memory == 4 * max(100 + 100 + 10, 100 + 10 + 110)
    assert found.training_memory == 4 * (4 + 10 + 100 + 100 + 110)


def test_memory_follows_the_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    halved = {layer.name: layer.memory for layer in astrokeras.cost(applications.lenet5()).layers}
    keras.config.set_dtype_policy("float32")
    whole = {layer.name: layer.memory for layer in astrokeras.cost(applications.lenet5()).layers}
    assert halved["conv1"] == whole["conv1"] / 2 == 2 * 28 * 28 * 8
    assert list(halved.values())[-1] == list(whole.values())[-1] == 4 * 10  # the softmax


def test_detectors_and_models_of_networks():
    detector = applications.yolo_voc((64, 64, 3))
    assert astrokeras.cost(detector).parameters == detector.count_params()
    small = {"input_shape": (16, 16, 1), "filters": (4, 8)}
    encoder = applications.variational_autoencoder(**small, units=(16,))
    assert astrokeras.cost(encoder).parameters == encoder.count_params()
    model = applications.ddpm((8, 8, 1), steps=20, filters=(8, 16))
    found = astrokeras.cost(model)
    assert found.parameters == model.network.count_params()
    assert found.multiply_adds == astrokeras.cost(model.network).multiply_adds > 0


def test_the_table_ends_with_the_total():
    found = astrokeras.cost(applications.lenet5())
    assert isinstance(found, Cost) and found.measured is None
    cells = [list(column.cells)[-1] for column in found.table().columns]
    assert cells == ["total", "", "", "238,570", "1,018,752", f"{found.training_memory / 1024:,.1f}"]


def test_refusals():
    with pytest.raises(ValueError, match="Expected a built model"):
        astrokeras.cost(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="Expected a fixed input size"):
        astrokeras.cost(build((None, None, 1), keras.layers.Conv2D(2, 3)))
    with pytest.raises(ValueError, match="Expected batch_size >= 1"):
        astrokeras.cost(build((2,), keras.layers.Dense(1)), measure=True, batch_size=0)
    with pytest.warns(UserWarning, match=r"multiply-adds of layer 'steps' \(GRU\) are not known; it counts 0"):
        assert astrokeras.cost(build((5, 2), keras.layers.GRU(3, name="steps"))).multiply_adds == 0


# measuring


def test_measured():
    found = astrokeras.cost(applications.lenet5(), measure=True, batch_size=4, watts=36, carbon_intensity=1000)
    speed = found.measured
    assert isinstance(speed, Measured) and speed.batch_size == 4
    assert 0 < speed.latency < 0.4 and speed.images_per_second == 4 / speed.latency
    if speed.energy_source == "estimate from 36 W":
        assert speed.joules >= 36 * speed.latency / 4 * 0.2  # the mean may be far above the median, never far below
    assert speed.co2 == pytest.approx(speed.joules / 3600)
    assert speed.describe() in found.table().caption


def test_inputs_of_several_kinds_are_measured():
    image, kind = keras.Input((4,), name="image"), keras.Input((), dtype="int32", name="kind")
    told = keras.layers.Concatenate()([image, keras.layers.Embedding(3, 2)(kind)])
    model = keras.Model({"image": image, "kind": kind}, keras.layers.Dense(1)(told))
    assert astrokeras.cost(model, measure=True).measured.latency > 0


# energy


def rapl(folder, zone, name, microjoules, size=10**9):
    zone = folder / zone
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "name").write_text(f"{name}\n")
    (zone / "max_energy_range_uj").write_text(f"{size}\n")
    (zone / "energy_uj").write_text(f"{microjoules}\n")


def test_rapl_counts_processor_and_memory_once(tmp_path):
    rapl(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    rapl(tmp_path, "intel-rapl:0:0", "core", 1_000_000)
    rapl(tmp_path, "intel-rapl:0:1", "dram", 10**9 - 500_000)
    rapl(tmp_path, "intel-rapl:1", "psys", 0)
    (tmp_path / "intel-rapl").mkdir()
    with EnergyMeter(powercap=tmp_path, watts=1000) as meter:
        rapl(tmp_path, "intel-rapl:0", "package-0", 7_000_000)
        rapl(tmp_path, "intel-rapl:0:0", "core", 900_000_000)
        rapl(tmp_path, "intel-rapl:0:1", "dram", 250_000)  # has started again
        rapl(tmp_path, "intel-rapl:1", "psys", 800_000_000)
        assert meter.joules == pytest.approx(2.75)
        rapl(tmp_path, "intel-rapl:0", "package-0", 8_000_000)
    assert meter.source == "RAPL" and meter.joules == pytest.approx(3.75) and meter.co2 is None
    rapl(tmp_path, "intel-rapl:0", "package-0", 9_000_000)
    assert meter.joules == pytest.approx(3.75), "after the end"
    with meter:
        pass
    assert meter.joules == 0, "starts again from zero"


def test_power_of_gpus(tmp_path, monkeypatch):
    told = tmp_path / "told"
    told.write_text("100.00\n300.00\n")
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {told}\n')
    program.chmod(0o755)
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with EnergyMeter(powercap=tmp_path, nvidia_smi=program) as meter:
        told.write_text("200.00\n400.00\n")
    assert meter.source == "nvidia-smi" and (tmp_path / "asked").read_text().split()[-1] == "--id=0,1"
    assert meter.joules == pytest.approx(500 * meter.seconds, rel=0.2)  # the mean of 400 W and 600 W
    told.write_text("[N/A]\n")
    with EnergyMeter(powercap=tmp_path, nvidia_smi=program) as meter:
        pass
    assert meter.joules is None and "energy unknown" in meter.describe()
    monkeypatch.setattr(backend, "has_gpu", lambda: False)
    told.write_text("100\n")
    with EnergyMeter(2, powercap=tmp_path, nvidia_smi=program, carbon_intensity=360) as meter:
        pass
    assert meter.source == "estimate from 2 W" and meter.co2 == pytest.approx(2 * meter.seconds * 1e-4)
    assert "(estimate from 2 W), " in meter.describe()


def test_counters_for_root_alone_are_left_out(tmp_path):
    rapl(tmp_path, "intel-rapl:0", "package-0", 5)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()  # as a file that may not be read
    with EnergyMeter(powercap=tmp_path) as meter:
        pass
    assert meter.joules is None and meter.source == "unknown"


def test_refused_power():
    with pytest.raises(ValueError, match="Expected watts above 0"):
        EnergyMeter(0)
    with pytest.raises(ValueError, match="Expected carbon_intensity above 0"):
        EnergyMeter(carbon_intensity=-1)
    assert co2(3.6e6, 250) == 250 and co2(None, 250) is None and co2(1.0, None) is None


# the figure


def test_accuracy_against_cost():
    names = ["a", "b", "c", "d", "twin of b"]
    figure = plots.accuracy_against_cost(names, [0.9, 0.95, 0.94, 0.99, 0.95], [1, 10, 20, 100, 10], score="mAP")
    axes = figure.axes[0]
    front, best, beaten = axes.lines
    assert best.get_xdata().tolist() == [1, 10, 10, 100] and beaten.get_ydata().tolist() == [0.94]
    assert np.array_equal(front.get_xdata(), best.get_xdata())
    assert [text.get_text() for text in axes.texts] == ["d", "b", "twin of b", "c", "a"]
    assert axes.get_xscale() == "log" and axes.get_ylabel() == "mAP"
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else None
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_accuracy_against_cost_refuses():
    with pytest.raises(ValueError, match="Expected one accuracy and one cost for each"):
        plots.accuracy_against_cost(["a"], [0.5, 0.6], [1, 2])
    with pytest.raises(ValueError, match="Expected each cost above 0"):
        plots.accuracy_against_cost(["a"], [0.5], [0])
