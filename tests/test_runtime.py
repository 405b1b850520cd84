import os
import subprocess
import sys

import keras
import pytest

import astrokeras
from astrokeras import backend, runtime


def test_configure_sets_policy_and_seed():
    assert astrokeras.configure("mixed_bfloat16", seed=3) == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    first = keras.random.normal((3,))
    astrokeras.configure("float32", seed=3)
    assert (keras.ops.convert_to_numpy(first) == keras.ops.convert_to_numpy(keras.random.normal((3,)))).all()


@pytest.mark.parametrize(("gpu", "chosen"), [(True, "mixed_float16"), (False, "float32")])
def test_auto_follows_the_device(gpu, chosen, monkeypatch):
    monkeypatch.setattr(backend, "has_gpu", lambda: gpu)
    assert astrokeras.configure() == chosen
    assert runtime.report()['precision "auto"'] == chosen


@pytest.mark.parametrize("arguments", [{"precision": "float8"}, {"seed": -1}, {"seed": 1.5}, {"seed": True}])
def test_configure_refuses(arguments):
    with pytest.raises(ValueError, match=f"Expected {next(iter(arguments))}"):
        astrokeras.configure(**arguments)


COMPILING = """
import sys, numpy as np, astrokeras
astrokeras.applications.lenet5().predict_on_batch(np.zeros((1, 28, 28, 1)))  # compiled before the cache is chosen
astrokeras.configure("float32", compile_cache=sys.argv[1])
astrokeras.applications.lenet5((20, 20, 1)).predict_on_batch(np.zeros((1, 20, 20, 1)))
"""


def test_jax_finds_what_it_has_compiled(tmp_path):
    pytest.importorskip("jax")
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_LOG_COMPILES": "0"}
    counts = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COMPILING, str(tmp_path / "kept")], env=environment, check=True)
        counts.append(len([path for path in (tmp_path / "kept").iterdir() if path.name.endswith("-cache")]))
    assert counts[0] > 0 and counts[1] == counts[0]  # nothing new the second time


@pytest.mark.skipif(keras.config.backend() == "jax", reason="JAX has a compile cache")
def test_other_backends_have_no_compile_cache(tmp_path):
    for keep in (backend.keep_compiled, lambda folder: astrokeras.configure(compile_cache=folder)):
        with pytest.raises(ValueError, match="compile_cache with the JAX backend only"):
            keep(tmp_path)


def test_report_agrees_with_keras():
    report = runtime.report()
    assert report["backend"] == keras.config.backend()
    assert report["keras"] == keras.__version__ == runtime.versions()["keras"]
    assert report['xla "auto"'] == ("on" if backend.has_gpu() or keras.config.backend() == "jax" else "off")
    assert report["devices"] == ", ".join(backend.devices())


@pytest.mark.parametrize(
    ("flags", "units", "words"),
    [
        ("fpu sse2 avx512_bf16 amx_bf16", ["AVX512-BF16", "AMX"], "AVX512-BF16 and AMX: configure('mixed_bfloat16')"),
        ("fpu avx512_bf16", ["AVX512-BF16"], "time both"),
        ("fpu avx512f amx_int8", [], "stay with float32"),
    ],
)
def test_bfloat16_units(flags, units, words, tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nmodel name\t: avx512_bf16 in a name\nflags\t\t: {flags}\nbugs\t: none\n")
    assert runtime.bfloat16_units(told) == units
    monkeypatch.setattr(backend, "has_gpu", lambda: False)
    monkeypatch.setattr(runtime, "bfloat16_units", lambda: units)
    assert words in runtime.report()["bfloat16 on the CPU"]
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    assert "configure" not in runtime.report()["bfloat16 on the CPU"]


def test_the_reason_for_a_missing_gpu(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "no NVIDIA driver" in runtime.missing_gpu_reason(driver=False)
    assert "is a CPU build; pip install" in runtime.missing_gpu_reason(driver=True, built_for_gpu=False)
    assert "could not load CUDA" in runtime.missing_gpu_reason(driver=True, built_for_gpu=True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES='' hides it" in runtime.missing_gpu_reason(driver=True)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "which Macs lack" in runtime.missing_gpu_reason()
    assert backend.built_for_gpu() in (True, False)


IMPORT_COST = """
import sys, time
import keras
before, start = set(sys.modules), time.perf_counter()
import astrokeras
spent = time.perf_counter() - start
added = {name.split(".")[0] for name in set(sys.modules) - before}
print(spent, *sorted(added))
"""


def test_import_is_light():
    times = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", IMPORT_COST], capture_output=True, text=True, check=True)
        spent, *added = done.stdout.split()
        heavy = {"albumentations", "cv2", "astropy", "sklearn", "dask", "gradio", "onnx", "matplotlib"}
        assert not heavy & set(added)
        times.append(float(spent))
    assert min(times) <= 0.3


MISSING = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Hide())
import astrokeras
"""


def test_a_missing_backend_gets_one_sentence():
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", MISSING], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "'torch', which is not installed: pip install 'astrokeras[cpu]'" in done.stderr.splitlines()[-1]
