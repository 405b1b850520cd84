"""CIANNA's calls: names, defaults, results, files, displays, refusals. How it trains: test_cianna_training."""

import inspect
import math
import re
from pathlib import Path

import numpy as np
import pytest

from astrokeras import cianna_files
from astrokeras.cianna import interface as cnn
from astrokeras.cianna import state
from astrokeras.cianna.displays import ProgressLine, best, confusion_text
from astrokeras.cianna.initializers import draw
from tests.cianna_reference import reference_networks

# CIANNA 1.0, src/python_module.c: the keywords in their order, with their defaults (NaN and -1 mean "not given").
CALLS = {
    "init": "in_dim in_nb_ch out_dim bias=0.1 b_size=8 comp_meth='C_CUDA' network=None dynamic_load=1 "
    "mixed_precision='off' inference_only=0 no_logo=0 adv_size=0",
    "create_dataset": "dataset size input target network=None silent=0",
    "delete_dataset": "dataset network=None silent=0",
    "swap_data_buffers": "dataset network=None",
    "linear": "",
    "relu": "saturation=nan leaking=nan",
    "logistic": "saturation=nan beta=nan",
    "softmax": "",
    "yolo": "",
    "dense": "nb_neurons activation='RELU' bias=nan prev_layer=-1 drop_rate=0.0 strict_size=0 init_fct='xavier' "
    "init_scaling=-1.0 network=None",
    "conv": "f_size nb_filters stride=None padding=None int_padding=None activation='RELU' bias=nan prev_layer=-1 "
    "input_shape=None drop_rate=0.0 init_fct='xavier' init_scaling=-1.0 network=None",
    "pool": "p_size=None stride=None padding=None prev_layer=-1 drop_rate=0.0 p_type='MAX' activation='LIN' p_global=0 "
    "network=None",
    "norm": "normalization='GN' activation='LIN' prev_layer=-1 group_size=8 set_off=0 network=None",
    "lrn": "activation='LIN' prev_layer=-1 range=5 k=1.0 alpha=1.0 beta=0.5 network=None",
    "set_frozen_layers": "froz_array network=None",
    "set_IoU_limits": "good_IoU_lim=-2.0 low_IoU_best_box_assoc=-2.0 min_prob_IoU_lim=-2.0 min_obj_IoU_lim=-2.0 "
    "min_class_IoU_lim=-2.0 min_param_IoU_lim=-2.0 diff_IoU_lim=-2.0 diff_obj_lim=-2.0",
    "set_fit_parts": "position=-2 size=-2 probability=-2 objectness=-2 classes=-2 parameters=-2",
    "set_error_scales": "position=-1.0 size=-1.0 probability=-1.0 objectness=-1.0 classes=-1.0 parameters=-1.0",
    "set_sm_single": "slope=-1.0 fmin=-100000.0 fmax=100000.0",
    "set_slopes_and_maxes": "position=None size=None probability=None objectness=None classes=None parameters=None",
    "set_yolo_params": "nb_box=0 nb_class=0 nb_param=0 max_nb_obj_per_image=0 prior_size=None prior_noobj_prob=None "
    "error_scales=None slopes_and_maxes=None param_ind_scales=None IoU_limits=None fit_parts=None IoU_type='empty' "
    "prior_dist_type='empty' strict_box_size=0 fit_dim=0 rand_startup=-1 rand_prob_best_box_assoc=0.0 rand_prob=0.0 "
    "min_prior_forced_scaling=0.0 class_softmax=0 diff_flag=0 network=0 error_type='empty' no_override=0 raw_output=0",
    "perf_eval": "network=None",
    "load": "file iteration network=None nb_layers=0 bin=0",
    "save": "file network=None bin=0",
    "train": "nb_iter learning_rate end_learning_rate=0.0 control_interv=1 momentum=0.0 lr_decay=0.0 weight_decay=0.0 "
    "confmat=0 save_every=0 save_bin=0 network=None shuffle_gpu=1 shuffle_every=1 TC_scale_factor=1.0 silent=0",
    "forward": "saving=1 drop_mode='AVG_MODEL' no_error=0 repeat=1 network=None silent=0",
    "print_arch_tex": "path file_name size=1 in_size=1 f_size=1 out_size=1 stride=1 padding=1 in_padding=0 "
    "activation=0 bias=0 dropout=0 param_count=0 network=None",
}
ONES = np.ones((2, 64))


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def begin(size=(28, 28), channels=1, outputs=10, **options):
    cnn.init(np.array(size, dtype="int"), channels, outputs, **({"network": 0, "no_logo": 1} | options))
    return state.find(options.get("network", 0))


def test_the_calls_are_those_of_cianna():
    for name, wanted in CALLS.items():
        given = []
        for argument in inspect.signature(getattr(cnn, name)).parameters.values():
            if argument.kind is inspect.Parameter.KEYWORD_ONLY:  # of the development version
                continue
            has = argument.default is not inspect.Parameter.empty
            given.append(f"{argument.name}={argument.default!r}" if has else argument.name)
        assert " ".join(given) == wanted, name
    extra = set(cnn.__all__) - set(CALLS)
    assert extra == {"adam", "sgd", "rms_prop", "set_optimizer_param", "free_network", "merge"}


def test_names_of_activations():
    assert [cnn.linear(), cnn.softmax(), cnn.yolo(), cnn.logistic()] == ["LIN", "SMAX", "YOLO", "LOGI"]
    assert cnn.relu(saturation=6, leaking=0.0) == "RELU_S6.00_L0.00"
    assert cnn.logistic(beta=2) == "LOGI_B2.00"


def test_a_layer_call_returns_its_number_and_makes_the_record(capsys):
    net = begin(bias=0.25)
    assert cnn.conv(f_size=np.array([5, 3]), nb_filters=8, padding=[2, 1], bias=7.0, drop_rate=0.005) == 0
    assert cnn.norm(group_size=4) == 1
    assert cnn.pool() == 2
    assert cnn.conv([3, 3], 6, stride=[2, 2], activation=cnn.relu(leaking=0.1)) == 3
    assert cnn.lrn(range=3) == 4
    assert cnn.pool(p_size=[3], p_type="AVG", stride=[2], padding=[1, 1]) == 5
    assert cnn.dense(12, activation="LOGI") == 6
    assert cnn.dense(9, activation="nonsense") == 7
    assert cnn.conv([2, 2], 3, input_shape=[3, 3, 1, 1], activation="SMAX") == 8
    first, _, pool, second, _, average, logi, lin, last = net.records.layers
    assert (first.kernel_size, first.bias_value, first.weights.shape) == ((5, 3, 1), 0.25, (8, 16))  # the bias of init
    assert pool.pool_size == pool.strides == (2, 2, 1)
    assert (average.pool_size, average.strides, average.padding) == ((3, 2, 1), (2, 1, 1), (1, 1, 0))
    assert (second.activation, second.bias_value) == ("RELU_S800.00_L0.10", pytest.approx(0.1))
    assert (logi.activation, logi.bias_value, logi.weights.shape) == ("LOGI_S6.00_B1.00", -1, (3 * 7 * 6 + 1, 13))
    assert (lin.activation, lin.bias_value, last.bias_value) == ("LIN", 0.5, pytest.approx(0.1))
    assert "'nonsense' is unknown: it is LIN" in capsys.readouterr().out
    assert net.built().output_shape == (None, 2, 2, 3)


def test_pools_follow_the_network_input_and_global_ones_the_map():
    net = begin((10, 1, 4), 2, 3)
    cnn.conv([3, 1, 1], 4)
    cnn.pool(activation="RELU")
    cnn.conv([1], 3)
    cnn.pool(p_global=1, p_type="AVG", activation="SMAX")
    assert net.records.layers[1].pool_size == (2, 1, 2)
    assert net.records.layers[3].pool_size == net.records.layers[3].strides == (4, 1, 2)
    assert net.built().output_shape == (None, 3)


@pytest.mark.parametrize(
    "rule, variance, uniform",
    [
        ("xavier", lambda a, b: 2 / (a + b), False),
        ("xavier_U", lambda a, b: 4 / (a + b), True),
        ("lecun", lambda a, b: 1 / a, False),
        ("lecun_U", lambda a, b: 1 / a, True),
        ("normal", lambda a, b: 1, False),
        ("uniform", lambda a, b: 1 / 3, True),
        ("other", lambda a, b: 2 / (a + b), False),
    ],
)
def test_initial_weights(rule, variance, uniform):
    net = begin((16, 16), 3, 10)
    cnn.conv([3, 3], 300, init_fct=rule, init_scaling=0.5)
    cnn.dense(30, activation="LIN", init_fct=rule, init_scaling=2.0)
    conv, dense = (layer.weights for layer in net.records.layers)
    inputs = 14 * 14 * 300 + 1
    for values, (a, b), scaling in ((conv, (28, 300), 0.5), (dense[:, :-1], (30, inputs), 2.0)):  # dense: outputs first
        width = scaling * math.sqrt(variance(a, b))
        assert values.std() == pytest.approx(width, rel=0.03)
        assert values[..., -1].std() == pytest.approx(width, rel=0.2)  # bias weights too
        assert abs(values.mean()) < 5 * width / math.sqrt(values.size)
        assert (np.abs(values).max() <= width * math.sqrt(3) * 1.0001) == uniform
    assert not dense[:, -1].any()  # the pivot
    if rule in ("normal", "uniform"):
        with pytest.raises(ValueError, match="Expected init_scaling"):
            cnn.dense(3, init_fct=rule)
    assert draw(np.random.default_rng(0), rule, (2,), 1, 1).dtype == "float32"


def test_data_are_copied_in_cianna_s_order():
    net = begin((3, 2), channels=2, outputs=2, b_size=4)
    script = np.arange(5 * 14, dtype="float64").reshape(5, 14)  # two columns too many
    cnn.create_dataset("VALID", 4, script, script)
    script[:] = -1
    data = net.datasets["VALID"]
    assert len(data) == 4 and data.inputs.shape == (4, 1, 2, 3, 2) and data.inputs.dtype == "float32"
    assert data.inputs[1, 0, 1, 2].tolist() == [14 + 5, 14 + 6 + 5]  # y 1, x 2 of both channels
    assert data.targets.tolist() == [[14 * i, 14 * i + 1] for i in range(4)]
    batches = [(rows.tolist(), real) for rows, real in data.batches(3)]
    assert batches == [([0, 1, 2], 3), ([3, 3, 3], 1)]
    cnn.delete_dataset("VALID_buf", silent=1)
    cnn.delete_dataset("VALID")
    assert not net.datasets


def test_networks_live_beside_each_other(capsys):
    state.NETWORKS.clear()
    cnn.init([4], 1, 2, no_logo=1)
    cnn.init([6], 1, 3, no_logo=1)
    cnn.dense(3, activation="SMAX")
    cnn.dense(2, activation="SMAX", network=0)
    for number, size, outputs in ((0, 4, 2), (1, 6, 3)):
        cnn.create_dataset("TEST", 3, np.ones((3, size)), np.ones((3, outputs)), network=number, silent=1)
        cnn.forward(saving=2, network=number, silent=1)
        assert np.fromfile(f"fwd_res/net{number}_0000.dat", "f4").size == 3 * (outputs + 1)
    cnn.free_network()
    assert state.find(None).number == 0
    cnn.free_network()
    with pytest.raises(ValueError, match=re.escape("initialised (none); received network=None: call init")):
        cnn.perf_eval()


@pytest.mark.parametrize("name", ["dense_stack_smax", "conv3d", "dropout_all", "pool_global_avg_smax", "mini_yolo3d"])
def test_loaded_networks_forward_as_in_cianna(name, tmp_path):
    reference = reference_networks()[name]
    path = reference.write(tmp_path)
    images, channels, z, y, x = reference.input.shape
    first = cianna_files.read(path).layers[0]
    net = begin((x, y, z), channels, 1, b_size=2, bias=getattr(first, "bias_value", 0.1))
    yolo = reference.output_boxes is not None
    if yolo:
        cnn.set_yolo_params(raw_output=1)
    cnn.load(str(path), 12, bin=0)  # the content tells
    cnn.create_dataset("TEST", images, reference.input.reshape(images, -1), np.zeros((images, 1)))
    wanted = reference.output if reference.output_with_pivot is None else reference.output_with_pivot
    wanted = wanted.reshape(images, -1)
    returned = cnn.forward(saving=2, no_error=1, silent=1, return_output=1)
    found = np.fromfile("fwd_res/net0_0012.dat", "<f4").reshape(images, -1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_array_equal(returned, found[:, : returned.shape[1]])
    cnn.forward(no_error=1, silent=1)  # saving=1: text
    text = Path("fwd_res/net0_0012.dat").read_text()
    assert text.count("\n") == images and text.endswith(" \n")
    np.testing.assert_allclose(np.array(text.split(), float).reshape(images, -1), wanted, atol=1e-4)
    cnn.save("again.dat", bin=1)
    assert Path("again.dat").read_bytes() == reference.binary and Path("net_save").is_dir()
    cnn.save("again.dat")
    assert cianna_files.read("again.dat").layers[0].activation == net.records.layers[0].activation
    if yolo:
        net.yolo.raw_output = False
        cnn.forward(saving=2, no_error=1, silent=1)
        boxes = np.fromfile("fwd_res/net0_0012.dat", "<f4").reshape(images, -1)
        np.testing.assert_allclose(boxes, reference.output_boxes.reshape(images, -1), rtol=1e-5, atol=1e-4)
        cnn.forward(saving=1, no_error=1, silent=1)
        assert "\n" not in Path("fwd_res/net0_0012.dat").read_text()


def test_a_linear_layer_at_the_end_writes_its_pivot():
    net = begin([2], 1, 2, bias=0.5)
    cnn.dense(2, activation="LIN")
    cnn.dense(2, activation="LIN")
    first, second = net.records.layers
    first.weights[:] = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    second.weights[:] = [[1, 0, 1], [0, 1, 10], [0.5, 0.25, 100]]
    cnn.create_dataset("TEST", 1, [[1.0, -1.0]], [[0.0, 0.0]])
    cnn.forward(saving=2, no_error=1)
    x = np.array([1, -1, 0.5]) @ first.weights  # its pivot is the bias input of the second layer
    np.testing.assert_allclose(np.fromfile("fwd_res/net0_0000.dat", "<f4"), x @ second.weights, rtol=1e-6)


def test_dropout_is_averaged_or_drawn_and_repetitions_follow_each_batch():
    net = begin([1], 1, 40, b_size=2, bias=0.0)
    cnn.dense(40, activation="LIN", drop_rate=0.25)
    net.records.layers[0].weights[:] = 1
    net.records.layers[0].weights[:, -1] = 0
    cnn.create_dataset("TEST", 3, [[1.0], [2.0], [3.0]], np.zeros((3, 40)))
    averaged = cnn.forward(saving=0, return_output=1, silent=1)
    np.testing.assert_allclose(averaged, [[0.75] * 40, [1.5] * 40, [2.25] * 40], rtol=1e-6)
    drawn = cnn.forward(saving=2, drop_mode="MC_MODEL", repeat=50, return_output=1, silent=1)
    np.testing.assert_array_equal(drawn, np.fromfile("fwd_res/net0_0000.dat", "<f4").reshape(150, 41)[:, :-1])
    assert not np.array_equal(drawn[0], drawn[2])
    values = np.array([1, 2] * 50 + [3] * 50)[:, None]  # a batch with all its repetitions, then the next
    assert set(np.unique(drawn / values)) == {0.0, 1.0}  # not rescaled
    assert (drawn == 0).mean() == pytest.approx(0.25, abs=0.02)


def test_transfer_learning_puts_new_layers_behind_the_first_ones(tmp_path, capsys):
    begin((12, 12), 2, 10, bias=0.3)
    cnn.conv([3, 3], 4, padding=[1, 1])
    cnn.pool()
    cnn.conv([3, 3], 6, drop_rate=0.2)
    cnn.dense(10, activation="SMAX")
    cnn.save("whole.dat", bin=1)
    kept = [layer.weights for layer in state.find(0).records.layers if hasattr(layer, "weights")]
    net = begin((16, 20), 2, 3, bias=0.3)
    cnn.load("whole.dat", 40, nb_layers=3)
    assert "had an input of 12x12x1; it will have 16x20x1" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no dropout in the layer before pool"):
        cnn.pool()
    assert cnn.norm(group_size=3) == 3
    assert cnn.dense(3, activation="SMAX") == 4
    assert net.iteration == 40 and net.records.layers[2].input_size == (8, 10, 1)
    for name in ("TRAIN", "VALID"):
        cnn.create_dataset(name, 4, np.ones((4, 640)), np.eye(3)[[0, 1, 2, 2]])
    cnn.set_frozen_layers([1, 0, 1, 1])
    cnn.train(2, 0.01, save_every=2, save_bin=1)
    assert Path("net_save/net0_s0042.dat").is_file()
    saved = cianna_files.read("net_save/net0_s0042.dat")
    assert saved.input_size == (16, 20, 1) and len(saved.layers) == 5
    np.testing.assert_array_equal(saved.layers[0].weights, kept[0])
    np.testing.assert_array_equal(saved.layers[2].weights, kept[1])
    assert cnn.dense(2) == 5  # behind what was trained
    np.testing.assert_array_equal(net.records.layers[4].weights[:, :-1], saved.layers[4].weights[:, :-1])
    with pytest.raises(ValueError, match="Layer 4: expected .* inputs of the dense layer"):
        cnn.load("whole.dat", 0)
    begin((12, 12), 1, 3)
    with pytest.raises(ValueError, match="1 input channels, as init says; it has 2"):
        cnn.load("whole.dat", 0)
    with pytest.raises(FileNotFoundError, match="none.dat"):
        cnn.load("none.dat", 0)


def test_the_control_prints_the_confusion_matrix_and_notes_the_loss(capsys):
    begin([2], 1, 2, b_size=4, bias=0.0)
    cnn.dense(2, activation="LIN")
    state.find(0).records.layers[0].weights[:] = [[1, 0, 0], [0, 1, 0], [0, 0, 0]]  # gives its inputs
    x = np.array([[1, 0], [1, 0.5], [0, 1], [0.5, 0.5], [1, 0]])
    t = np.array([[1, 0], [0, 1], [0, 1], [1, 0], [1, 0]])
    for name in ("TRAIN", "VALID", "TEST"):
        cnn.create_dataset(name, 5, x, t)
    capsys.readouterr()
    Path("error.txt").write_text("of an older training\n")
    cnn.train(2, 0.0, confmat=1)
    out = capsys.readouterr().out
    assert re.search(
        r"2 \|       1 \|\s+66.67%\n\s+1 \|       1 \|\s+50.00%\nPrec.   66.67%    50.00%  Acc  60.00%", out
    )
    assert out.count("Iter:     1 ") == 1 and "2 / 2 | B.Loss: 0.00000" in out  # no terminal: one line each
    loss = 0.5 * (1 + 0.25 + 0.25 + 0.25) / 5
    cnn.forward(saving=0)
    lines = Path("error.txt").read_text().split("\n")
    assert lines == [f"1 {loss:g}", f"2 {loss:g}", f"2 {loss:g}", ""]
    cnn.train(1, 0.0, silent=1)
    assert capsys.readouterr().out.count("Iter") == 0 and len(Path("error.txt").read_text().split("\n")) == 4


def test_displays():
    matrix = np.array([[9, 1], [0, 0]])
    assert confusion_text(matrix, 3) == " Accuracy:  90.00%"
    assert confusion_text(matrix, 2).splitlines()[0] == " Recall:     90.00%      nan%"
    assert best(np.array([[0.0, 3, 3, 1]])).tolist() == [2]  # the last of equals
    with ProgressLine("Iter", 7, 3, 30, silent=True) as line:
        line.advance(16, 0.5)


def test_the_table_of_the_layers(capsys):
    begin((8, 8), 3, 4)
    cnn.conv([3, 3], 6, padding=[1, 1])
    cnn.norm(group_size=3)
    cnn.pool(p_global=1)
    cnn.dense(4, activation="SMAX", drop_rate=0.3)
    cnn.print_arch_tex("arch/", "table", activation=1, dropout=1, bias=1, param_count=1, in_padding=1, stride=0)
    rows = [line.split(" & ") for line in Path("arch/table.tex").read_text().splitlines() if " & " in line]
    assert rows[0][:4] == ["Id.", "Type", "In. size", "N. filters"] and "Stride" not in rows[0]
    assert rows[1] == [
        "1", "Conv\\_1", "8x8x1", "6", "3x3x1", "1:1:0", "0:0:0", "8x8x1", "RELU", "0.10", "0\\%", "168 \\\\",
    ]  # fmt: skip
    assert rows[2][3:6] == ["N.Gr. 2", "Gr.Size 3", "Off 0"]
    assert rows[3][4] == "8x8x1" and rows[3][7] == "1x1x1"
    assert rows[4][2:4] == ["7", "4"] and rows[4][-2:] == ["30\\%", "35 \\\\"]
    cnn.perf_eval()
    out = capsys.readouterr().out
    assert "network 0: 207 weights" in out and re.search(r"4\s+dense1\s+\d", out)


@pytest.mark.parametrize(
    "does, sentence",
    [
        (lambda: cnn.init([0], 1, 1), "in_dim as up to three integers >= 1"),
        (lambda: cnn.init([8], 0, 1), "in_nb_ch >= 1 and out_dim >= 1; received 0 and 1"),
        (lambda: cnn.init([8], 1, 1, comp_meth="C_GPU"), "C_CUDA, C_BLAS, C_NAIV; received 'C_GPU'"),
        (lambda: cnn.init([8], 1, 1, mixed_precision="FP8"), "FP16C_FP32A.*received 'FP8'"),
        (lambda: cnn.create_dataset("DEV", 1, [[1]], [[1]]), "TRAIN, TRAIN_buf.*received 'DEV'"),
        (lambda: cnn.create_dataset("TRAIN", 2, ONES[:, :63], ONES), "input of TRAIN.*2 rows of 64"),
        (lambda: cnn.create_dataset("TRAIN", 3, ONES, ONES), "at least 3 rows"),
        (lambda: cnn.create_dataset("TRAIN", 2, ONES, ONES[:, :9]), "target of TRAIN.*10 numbers"),
        (lambda: cnn.create_dataset("TRAIN", 0, ONES, ONES), "size >= 1 of TRAIN"),
        (lambda: cnn.swap_data_buffers("TRAIN"), "TRAIN_buf to be filled"),
        (lambda: cnn.swap_data_buffers("TRAIN_buf"), "TRAIN, VALID, TEST; received 'TRAIN_buf'"),
        (lambda: cnn.forward(), "set TEST for forward"),
        (lambda: cnn.forward(drop_mode="MEAN"), "AVG_MODEL or MC_MODEL"),
        (lambda: cnn.forward(repeat=0), "repeat >= 1"),
        (lambda: cnn.conv([2, 2], 4, stride=[3, 1]), r"stride of conv up to its f_size \(2, 2, 1\)"),
        (lambda: cnn.conv([9, 9], 4), "leave a map of at least one pixel"),
        (lambda: cnn.conv([3, 3], 0), "nb_filters >= 1"),
        (lambda: cnn.conv([3, 3], 4, prev_layer=3), "prev_layer=-1 or -1, the last layer"),
        (lambda: cnn.conv([3, 3], 30, activation="YOLO"), "Expected 0 filters of the YOLO layer"),
        (lambda: cnn.conv([3, 3], 4, drop_rate=1.0), "drop_rate from 0 to below 1"),
        (lambda: cnn.conv([3, 3], 4, activation="RELU_Sx"), "such as RELU_S800.00_L0.05"),
        (lambda: cnn.pool([2, 2], stride=[3, 3]), "stride up to and padding below the window"),
        (lambda: cnn.pool([2, 2], padding=[2, 2]), "padding below the window"),
        (lambda: cnn.pool([2.5]), "p_size as up to three integers"),
        (lambda: cnn.norm(), "norm behind a convolution or pooling; received one behind nothing"),
        (lambda: cnn.lrn(), "lrn behind a convolution"),
        (lambda: cnn.dense(0), "nb_neurons >= 1"),
        (lambda: cnn.dense(4, activation="YOLO"), "another activation of this layer than YOLO"),
        (lambda: cnn.merge(-1, 0, "ADD"), "a chain of layers.*astrokeras.Network"),
        (lambda: cnn.save("net.dat"), "Network 0 has no layers yet"),
        (lambda: cnn.set_yolo_params(nb_box=2), r"prior_size as \(axes, 2\) in pixels; received none"),
        (lambda: cnn.set_yolo_params(nb_box=2, prior_size=[[1, 2, 3]]), r"prior_size as \(axes, 2\)"),
        (lambda: cnn.set_yolo_params(nb_box=1, prior_size=[[1]], fit_dim=2), "fit_dim=2 to 3 axes"),
        (lambda: cnn.set_yolo_params(max_nb_obj_per_image=2), "out_dim=15 of init for 2 objects"),
        (lambda: cnn.set_yolo_params(nb_box=1, prior_size=[[1]], prior_noobj_prob=[1, 2]), "as 1 values"),
        (lambda: cnn.set_yolo_params(network=5), r"initialised \(.*0.*\); received network=5"),
    ],
)  # fmt: skip
def test_where_cianna_ends_the_program_a_sentence_says_why(does, sentence):
    begin((8, 8), 1, 10)
    with pytest.raises(ValueError, match=sentence):
        does()


def test_layers_that_cianna_cannot_stack_are_refused():
    begin((8, 8), 1, 10)
    cnn.conv([3, 3], 4)
    for wrong, sentence in (
        (lambda: cnn.norm(group_size=3), "group_size that divides 4 channels"),
        (lambda: cnn.norm(group_size=2, set_off=3), r"set_off in 0..2"),
        (lambda: cnn.norm(group_size=4, activation="SMAX"), "another activation of this layer than SMAX"),
        (lambda: cnn.lrn(range=0), "range >= 1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            wrong()
    cnn.norm(group_size=2)
    with pytest.raises(ValueError, match="norm behind a convolution or pooling; received one behind norm"):
        cnn.norm(group_size=2)
    cnn.pool()
    with pytest.raises(ValueError, match="pool behind a convolution; received one behind pool"):
        cnn.pool()
    cnn.dense(4, drop_rate=0.2, bias=0.0)
    for wrong, sentence in (
        (cnn.pool, "received one behind dense"),
        (lambda: cnn.norm(group_size=2), "received one behind dense"),
        (lambda: cnn.conv([1], 2), "Expected input_shape"),
        (lambda: cnn.conv([1], 2, input_shape=[2, 2, 1, 1]), "no dropout on a dense layer before"),
        (lambda: cnn.dense(2), "a bias other than 0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            wrong()
    begin([4], 1, 10)
    cnn.dense(4)
    with pytest.raises(ValueError, match="to hold the 4 neurons before it"):
        cnn.conv([1], 2, input_shape=[3, 2, 1, 1])
    begin((8, 8), 1, 1)
    cnn.set_yolo_params(nb_box=1, prior_size=[[4], [4]])
    with pytest.raises(ValueError, match="Expected one YOLO set-up for network 0"):
        cnn.set_yolo_params(nb_box=1, prior_size=[[4], [4]])
