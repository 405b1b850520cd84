"""Scripts as people write them for CIANNA run unchanged: `python -m astrokeras.cianna SCRIPT.py`."""

import glob
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from astrokeras import cianna_files
from astrokeras.cianna import interface, state
from astrokeras.cianna.__main__ import main

ROOT = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}

HEAD = """
import numpy as np
from threading import Thread
import os, sys, glob
sys.path.insert(0, glob.glob('../../src/build/lib.*/')[-1])
import CIANNA as cnn

def i_ar(int_list):
\treturn np.array(int_list, dtype="int")

def f_ar(float_list):
\treturn np.array(float_list, dtype="float32")
"""

FACTS = """
import json, os, sys
facts = dict(argv=sys.argv, file=__file__, cwd=os.getcwd(), path=sys.path[0], name=__name__)
facts["main"] = sys.modules["__main__"].__file__
import beside
facts["beside"] = beside.value
"""

GAMES = """
from glob import glob
sys.path.insert(0, glob('../../src/build/lib.*/')[-1])
sys.path.insert(0, "/a/CIANNA/that/is/not/there")
import CIANNA as cnn
import CIANNA_exp
facts["ours"] = cnn.__name__ == CIANNA_exp.__name__ == "astrokeras.cianna.interface"
facts["other searches"] = glob("none*")
cnn.init(in_dim=[4], in_nb_ch=1, out_dim=2, no_logo=1)
json.dump(facts, open("facts.json", "w"))
exit(3)
"""

MNIST = (
    HEAD
    + """
data = np.fromfile("digits_dat/input.dat", dtype="float32").reshape(160, 12*12)
target = np.fromfile("digits_dat/target.dat", dtype="float32").reshape(160, 4)

def create_augm_batch(size):
\tpick = np.random.randint(0, 120, size)
\treturn data[pick], target[pick]

def data_augm():
\tbatch, targ = create_augm_batch(100)
\tcnn.delete_dataset("TRAIN_buf", silent = 1)
\tcnn.create_dataset("TRAIN_buf", 100, batch, targ, silent = 1)

cnn.init(in_dim=i_ar([12,12]), in_nb_ch=1, out_dim=4, bias=0.1, b_size=16, comp_meth="C_CUDA", dynamic_load=1,
\tmixed_precision="FP32C_FP32A")
batch, targ = create_augm_batch(100)
cnn.create_dataset("TRAIN", size=100, input=batch, target=targ)
cnn.create_dataset("VALID", size=40, input=data[120:], target=target[120:])
cnn.create_dataset("TEST", size=40, input=data[120:], target=target[120:])

load_step = 0
if(len(sys.argv) > 1):
\tload_step = int(sys.argv[1])
if(load_step > 0):
\tcnn.load("net_save/net0_s%04d.dat"%(load_step), load_step)
else:
\tcnn.conv(f_size=i_ar([5,5]), nb_filters=4, padding=i_ar([2,2]), activation=cnn.relu(leaking=0.1))
\tcnn.pool(p_size=i_ar([2,2]), p_type="MAX")
\tcnn.dense(nb_neurons=16, activation="RELU", drop_rate=0.2)
\tcnn.dense(nb_neurons=4, strict_size=1, activation="SMAX")
cnn.print_arch_tex("./arch/", "arch", activation=1)

for k in range(load_step, 8):
\tt = Thread(target=data_augm)
\tt.start()
\tcnn.train(nb_iter=1, learning_rate=0.02, momentum=0.8, confmat=1, shuffle_every=0, save_every=4)
\tt.join()
\tcnn.swap_data_buffers("TRAIN")
cnn.perf_eval()
cnn.forward(repeat=3, drop_mode="MC_MODEL", saving=2)
"""
)

DETECTOR = (
    HEAD
    + """
from scene import *

load_epoch = 0
cnn.init(in_dim=i_ar([image_size,image_size]), in_nb_ch=3, out_dim=1+max_nb_obj*(7+0+1), bias=0.1, b_size=8,
\tcomp_meth='C_CUDA', dynamic_load=1, mixed_precision="FP16C_FP32A", adv_size=30)

def data_augm():
\tinput_data, targets = create_batch(20)
\tcnn.delete_dataset("TRAIN_buf", silent=1)
\tcnn.create_dataset("TRAIN_buf", 20, input_data[:,:], targets[:,:], silent=1)

input_data, targets = create_batch(20)
cnn.create_dataset("TRAIN", 20, input_data, targets)
cnn.create_dataset("VALID", 9, input_data, targets)
cnn.create_dataset("TEST" , 9, input_data, targets)

prior_size = np.vstack((f_ar([12.0, 24.0, 40.0]), f_ar([12.0, 30.0, 24.0])))
prior_noobj_prob = f_ar([0.05,0.1,0.1])
error_scales = cnn.set_error_scales(position = 12.0, size = 6.0, probability = 0.5, objectness = 6.0, classes = 0.4)
fit_parts = cnn.set_fit_parts(position = 1, size = 1, probability = 1, objectness = 1, classes = 1)
IoU_limits = cnn.set_IoU_limits(good_IoU_lim = 0.5, low_IoU_best_box_assoc = -0.1, min_prob_IoU_lim = -1.0,
\tmin_obj_IoU_lim = -1.0, min_class_IoU_lim = -0.1, min_param_IoU_lim = -1.0, diff_IoU_lim = 0.5, diff_obj_lim = 0.3)
slopes_and_maxes = cnn.set_slopes_and_maxes(
\tposition = cnn.set_sm_single(slope=1.0, fmax=6.0, fmin=-6.0),
\tsize = cnn.set_sm_single(slope=0.5, fmax=1.6, fmin=-1.6))
nb_yolo_filters = cnn.set_yolo_params(nb_box = 3, nb_class = nb_class, nb_param = 0, max_nb_obj_per_image = max_nb_obj,
\tprior_size = prior_size, prior_noobj_prob = prior_noobj_prob, IoU_type = "DIoU", prior_dist_type = "OFFSET",
\terror_scales = error_scales, slopes_and_maxes = slopes_and_maxes, IoU_limits = IoU_limits, fit_parts = fit_parts,
\tstrict_box_size = 2, min_prior_forced_scaling = 1.2, diff_flag = 1, rand_startup = 20*2,
\trand_prob_best_box_assoc = 0.05, rand_prob = 0.0, class_softmax = 1, error_type = "natural", no_override = 1)

cnn.load("backbone.dat", 0, nb_layers=4, bin=1)
cnn.norm(group_size=4)
cnn.conv(f_size=i_ar([3,3]), nb_filters=16, padding=i_ar([1,1]), activation="RELU")
cnn.norm(group_size=4)
cnn.conv(f_size=i_ar([1,1]), nb_filters=nb_yolo_filters, padding=i_ar([0,0]), activation="YOLO")
cnn.print_arch_tex("./arch/", "arch", activation=1, dropout=0)

for block in range(0, 3):
\tt = Thread(target=data_augm)
\tt.start()
\tcnn.train(nb_iter=1, learning_rate=0.0005, shuffle_every=0, control_interv=1, momentum=0.9, lr_decay=0.0,
\t\tweight_decay=0.0005, save_every=3, silent=0, save_bin=1, TC_scale_factor=64.0)
\tif(block == 0):
\t\tcnn.perf_eval()
\tt.join()
\tcnn.swap_data_buffers("TRAIN")
cnn.forward(repeat=1, no_error=1, saving=2, drop_mode="AVG_MODEL")
predict = np.reshape(np.fromfile("fwd_res/net0_%04d.dat"%3, dtype="float32"), (9, 3*(8+nb_class), 4, 4))
assert np.all(predict[:,3] > predict[:,0]) and np.all(predict[:,2] == 0.5) # x_max > x_min; the depth is not fitted
"""
)

SOURCES = (
    HEAD
    + """
from sky import *

out_dim = 1+max_nb_obj*(7+nb_param)
cnn.init(in_dim=i_ar([32,32]), in_nb_ch=1, out_dim=out_dim, bias=0.1, b_size=8, comp_meth="C_CUDA", adv_size=30)
input_data, targets = create_batch(16)
cnn.create_dataset("TRAIN", 16, input_data[:,:], targets[:,:])
cnn.create_dataset("VALID", 5, input_data[:5,:], targets[:5,:])
prior_size = np.vstack((f_ar([6.0,6.0,12.0]), f_ar([6.0,6.0,9.0])))
nb_yolo_filters = cnn.set_yolo_params(
\tnb_box = 3, nb_class = 0, nb_param = nb_param, max_nb_obj_per_image = max_nb_obj, prior_size = prior_size,
\tprior_noobj_prob = f_ar([0.15,0.15,0.01]), IoU_type = "DIoU", prior_dist_type = "OFFSET",
\terror_scales = cnn.set_error_scales(position = 36.0, size = 0.2, probability = 0.5, parameters = 5.0),
\tparam_ind_scales = f_ar([2.0,1.0]), slopes_and_maxes = cnn.set_slopes_and_maxes(
\t\tsize = cnn.set_sm_single(slope = 0.5, fmax = 1.2, fmin = -1.2),
\t\tparameters = cnn.set_sm_single(slope = 0.5, fmax = 1.5, fmin = -0.2)),
\tIoU_limits = cnn.set_IoU_limits(good_IoU_lim = 0.5, min_param_IoU_lim = -0.1), strict_box_size = 0,
\tfit_parts = cnn.set_fit_parts(position = 1, size = 1, probability = 1, objectness = 1, parameters = 1),
\trand_startup = 16*1, rand_prob_best_box_assoc = 0.90, rand_prob = 0.02, error_type = "natural", no_override = 1)
cnn.conv(f_size=i_ar([5,5]), nb_filters=4, stride=i_ar([1,1]), padding=i_ar([2,2]), activation="RELU")
cnn.conv(f_size=i_ar([2,2]), nb_filters=8, stride=i_ar([2,2]), padding=i_ar([0,0]), activation="RELU")
cnn.conv(f_size=i_ar([4,4]), nb_filters=8, stride=i_ar([4,4]), padding=i_ar([0,0]), activation="RELU")
cnn.norm(group_size=4)
cnn.conv(f_size=i_ar([1,1]), nb_filters=16, activation="RELU", drop_rate=0.25)
cnn.conv(f_size=i_ar([1,1]), nb_filters=nb_yolo_filters, activation="YOLO")
for block in range(0,3):
\tcnn.train(nb_iter = 1, learning_rate = 0.001, end_learning_rate = 0.00002, shuffle_every = 0, momentum = 0.8,
\t\tlr_decay = 0.0005, weight_decay = 0.0, save_every = 3, silent = 0, save_bin = 1)

cnn.init(in_dim=i_ar([64,64]), in_nb_ch=1, out_dim=out_dim, b_size=2, inference_only=1, network=0)
input_data = np.zeros((3,64*64), dtype="float32")
cnn.create_dataset("TEST", 3, input_data, np.zeros((3,out_dim), dtype="float32"))
assert cnn.set_yolo_params(raw_output=0) == 0
cnn.load("net_save/net0_s%04d.dat"%3, 3, bin=1)
cnn.forward(no_error=1, saving=2, repeat=1, drop_mode="AVG_MODEL")
exit()
"""
)


def scene(count, size, objects, params, classes, difficult, channels, seed=0):
    """Images and CIANNA's target vectors: bright boxes on noise."""
    rng = np.random.default_rng(seed)
    width = 7 + params + difficult
    x = rng.normal(0, 0.1, (count, channels, size, size))
    t = np.zeros((count, 1 + objects * width), "float32")
    for i in range(count):
        n = rng.integers(0, objects + 1)
        t[i, 0] = n
        for k in range(n):
            w, h = rng.uniform(6, size / 2, 2)
            x0, y0 = rng.uniform(0, size - w), rng.uniform(0, size - h)
            x[i, :, int(y0) : int(y0 + h), int(x0) : int(x0 + w)] += 0.5
            row = [rng.integers(1, classes + 1) if classes else 1, x0, y0, 0, x0 + w, y0 + h, 1, *rng.random(params)]
            t[i, 1 + k * width : 1 + (k + 1) * width] = row + [rng.integers(0, 2)] * difficult
    return x.reshape(count, -1).astype("float32"), t


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a script in this process, and leave no trace of it."""
    before = {name: sys.modules.get(name) for name in ("CIANNA", "CIANNA_exp", "__main__", "scene", "sky")}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    monkeypatch.setattr(glob, "glob", glob.glob)
    state.NETWORKS.clear()

    def run(text, *arguments):
        Path("script.py").write_text(text)
        return main(["script.py", *arguments])

    yield run
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def test_a_script_finds_itself_as_under_python_and_ours_under_both_names(tmp_path):
    folder = tmp_path / "some where"
    folder.mkdir()
    (folder / "beside.py").write_text("value = 7")
    (folder / "CIANNA.py").write_text("raise ImportError('the decoy')")
    script = folder / "script.py"
    facts = {}
    for command, text in (
        (["-m", "astrokeras.cianna"], FACTS + GAMES),
        ([], FACTS + "json.dump(facts, open('facts.json', 'w'))"),
    ):
        script.write_text(text)
        done = subprocess.run(
            [sys.executable, *command, "some where/script.py", "12", "--two words"],
            cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT,
        )  # fmt: skip
        assert done.returncode == (3 if command else 0), done.stderr
        facts[bool(command)] = json.loads((tmp_path / "facts.json").read_text())
    assert facts[True].pop("ours") is True and facts[True].pop("other searches") == []
    assert facts[True] == facts[False]
    assert facts[True]["argv"] == ["some where/script.py", "12", "--two words"] and facts[True]["beside"] == 7


def test_a_digits_script_trains_with_a_second_thread_and_takes_up_again(run, capsys):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 160)
    x = rng.normal(0, 0.2, (160, 12, 12))
    for image, label in zip(x, labels, strict=True):
        image[2 + 6 * (label // 2) :, 2 + 6 * (label % 2) :][:3, :3] += 2  # a square in one of the quarters
    Path("digits_dat").mkdir()
    x.astype("float32").tofile("digits_dat/input.dat")
    np.eye(4, dtype="float32")[labels].tofile("digits_dat/target.dat")
    run(MNIST)
    out = capsys.readouterr().out
    accuracies = [float(line.split("Acc")[1].strip(" %")) for line in out.splitlines() if "Acc " in line]
    assert len(accuracies) == 8 and accuracies[-1] > 90
    assert "Saving network for iteration: 8" in out and "dense2" in out and Path("arch/arch.tex").is_file()
    rows = np.fromfile("fwd_res/net0_0008.dat", "<f4").reshape(120, 5)
    np.testing.assert_allclose(rows[:, :4].sum(1), 1, atol=1e-5)
    assert not rows[:, 4].any() and not np.array_equal(rows[:16], rows[16:32])
    run(MNIST, "4")
    out = capsys.readouterr().out
    assert (
        "net_save/net0_s0004.dat: 4 layers, iteration 4" in out and "Iter:     5 " in out and "Iter:     4 " not in out
    )
    assert float(out.split("Acc")[1].split("%")[0]) > 50  # not from scratch


def test_a_detector_script_in_the_manner_of_pascal(run, capsys):
    interface.init([64, 64], 3, 10, network=0, no_logo=1)
    for filters in (8, 8):
        interface.conv([3, 3], filters, stride=[2, 2], padding=[1, 1])
    interface.conv([4, 4], 16, stride=[4, 4])
    interface.conv([1, 1], 8)
    interface.pool(p_global=1, p_type="AVG", activation="SMAX")
    interface.save("backbone.dat", bin=1)
    kept = state.find(0).records.layers[0].weights
    interface.free_network()
    Path("scene.py").write_text(
        "from tests.test_cianna_scripts import scene\nimage_size, max_nb_obj, nb_class = 64, 4, 5\n"
        "def create_batch(count): return scene(count, image_size, max_nb_obj, 0, nb_class, 1, 3)\n"
    )
    run(DETECTOR)
    out = capsys.readouterr().out
    lines = Path("error.txt").read_text().split("\n")
    assert [line.split()[0] for line in lines[:-1]] == ["1", "2", "3"] and len(lines[0].split()) == 8
    saved = cianna_files.read("net_save/net0_s0003.dat")
    assert len(saved.layers) == 8 and saved.layers[-1].yolo.class_softmax and saved.layers[-1].filters == 39
    assert not np.array_equal(saved.layers[0].weights, kept)
    assert "M IoU" in out and "Saving network for iteration: 3 (mode: 1)" in out
    assert state.find(0).built().settings.to_dict()["strict_priors"] == 2


def test_a_source_finder_script_in_the_manner_of_sdc1(run):
    Path("sky.py").write_text(
        "from tests.test_cianna_scripts import scene\nmax_nb_obj, nb_param = 6, 2\n"
        "def create_batch(count): return scene(count, 32, max_nb_obj, nb_param, 0, 0, 1)\n"
    )
    with pytest.raises(SystemExit) as ended:
        run(SOURCES)
    assert ended.value.code is None
    assert len(Path("error.txt").read_text().splitlines()) == 3
    predicted = np.fromfile("fwd_res/net0_0003.dat", "<f4").reshape(3, 3, 10, 8, 8)
    width = predicted[:, :, 3] - predicted[:, :, 0]
    assert (width > 6 * np.exp(-1.21)).all() and (width < 12 * np.exp(1.21)).all()  # cut at 1.2
    assert (
        np.abs(predicted[:, :, 3] - 8 * np.arange(8) - 4).max(axis=(0, 1, 2)) < 20
    ).all()  # x runs along the last axis


def test_what_cannot_run_says_why(capsys, tmp_path):
    assert main([]) == 2 and "usage: python -m astrokeras.cianna SCRIPT.py" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert main([str(tmp_path / "none.py")]) == 2
    assert "cannot open" in capsys.readouterr().err
