"""CIANNA's model files: the 25 of CIANNA itself byte by byte, hand-made ones, and every kind of damage.

tests/data/cianna_models.npz holds files and arrays of shared/cianna_reference/models (CIANNA V-1.0, C-BLAS or naive
build), nothing rounded. It was made by

    arrays = {}
    for entry in json.loads((folder / "index.json").read_text()):
        name, files = entry["name"], entry["files"]
        for form in ("binary", "text"):
            arrays[f"{name}/{form}"] = np.frombuffer((folder / files[form]).read_bytes(), "u1")
        with np.load(folder / files["arrays"]) as found:
            arrays |= {f"{name}/{key}": values for key, values in found.items()}
    np.savez_compressed("tests/data/cianna_models.npz", **arrays)
"""

import os
import re
import stat
import struct
import tracemalloc

import numpy as np
import pytest

from astrokeras import cianna_files as files
from astrokeras.cianna_files import CiannaNetwork, Conv, Dense, Norm
from tests.cianna_reference import (
    HAND_MADE,
    RELU,
    SENTENCE,
    arrays_of,
    conv,
    detector,
    header_bytes,
    pool,
    reference_networks,
    values,
    written,
)

NAMES = sorted(reference_networks())


@pytest.mark.parametrize("name", NAMES)
def test_what_cianna_wrote_comes_back_byte_by_byte(name, tmp_path):
    found = {}
    for binary in (True, False):
        path = reference_networks()[name].write(tmp_path, binary)
        found[binary] = files.read(path)
        assert written(tmp_path, found[binary], binary)[1] == path.read_bytes()
        assert files.read(tmp_path / "net.dat") == found[binary]
        assert files.cianna_refuses(found[binary]) is None
    assert header_bytes(found[True])[1][-1] == len(reference_networks()[name].binary), "the format as its page tells it"
    for exact, rounded in zip(found[True].layers, found[False].layers, strict=True):
        for a, b in zip(arrays_of(exact), arrays_of(rounded), strict=True):
            np.testing.assert_allclose(b, a, rtol=5.1e-6, atol=0)
            b[...] = a
    assert found[True] == found[False], "all but the weights is equal in both forms"


def test_facts_of_the_reference(tmp_path):
    """Facts of index.json, which another reader wrote."""
    found = {name: files.read(reference_networks()[name].write(tmp_path)) for name in NAMES}
    network = found["conv2d_intpad_asym"]
    assert (network.input_size, network.channels) == ((5, 4, 1), 1)
    first = network.layers[0]
    assert (first.kernel_size, first.strides, first.padding) == ((4, 3, 1), (1, 1, 1), (2, 0, 0))
    assert (first.filters, first.internal_padding, first.activation) == (3, (2, 1, 0), RELU)
    assert first.bias_value == np.float32(0.1)
    assert network.layers[1].input_size == files.output_size(first, (5, 4, 1)) == (14, 5, 1)
    assert [type(layer) for layer in found["dense_to_conv"].layers] == [Dense, Conv, Dense]
    assert found["dense_to_conv"].layers[1].weights.shape == (3, 3 * 2 * 2 + 1)
    norms = [layer for layer in found["norm_setoff"].layers if isinstance(layer, Norm)]
    assert [(n.group_size, n.set_off, len(n.gamma)) for n in norms] == [(4, 1, 2), (1, 2, 6)]
    last = found["pool_global_avg_smax"].layers[-1]
    assert (last.kind, last.is_global, last.pool_size, last.activation) == ("AVG", True, (8, 6, 1), "SMAX")
    yolo = found["mini_yolo3d"].layers[-1].yolo
    assert (yolo.boxes, yolo.classes, yolo.params, yolo.fit_dims, yolo.class_softmax) == (2, 0, 2, 3, False)
    assert yolo.priors.tolist() == [[4, 4, 3], [8, 6, 5]]
    assert yolo.slopes.tolist() == np.float32([[1, 6, -6], [1, 1.6, -1.6], *[[1, 6, -6]] * 3, [1, 1.2, -0.2]]).tolist()


def test_leftover_memory_behind_names_is_cut_and_kept(tmp_path):
    path = reference_networks()["dense_stack_smax"].write(tmp_path)
    leftover = b"LIN\0_S800.00_L0.05\0"
    assert path.read_bytes().count(leftover) == 1
    network = files.read(path)
    assert network.layers[1].activation == "LIN"
    assert written(tmp_path, network)[1].count(leftover) == 1
    network.layers[1].activation = "LOGI"  # another name: the leftover of the old one goes
    assert b"LOGI" + bytes(36) in written(tmp_path, network)[1]
    assert files.read(tmp_path / "net.dat") == network


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
@pytest.mark.parametrize("name", HAND_MADE)
def test_hand_made_networks_come_back(name, binary, tmp_path):
    path, content = written(tmp_path, HAND_MADE[name], binary)
    again = files.read(path)
    assert again == HAND_MADE[name]
    assert written(tmp_path, again, binary)[1] == content
    assert (content[16:17] in b"CD" and not content[:16].isalnum()) is binary


def test_local_norm_is_written_as_cianna_does(tmp_path):
    """From `lrn_save`; there is no file of CIANNA with such a layer."""
    _, content = written(tmp_path, HAND_MADE["detector"])
    name = b"LOGI_S6.00_B1.00"
    assert struct.pack("<cifff40s", b"L", 3, 2.0, 0.0001, 0.75, name) in content
    _, content = written(tmp_path, HAND_MADE["detector"], binary=False)
    assert b"\n\nL 3 2.000000 0.000100 0.750000 LOGI_S6.00_B1.00 \nC20f" in content


@pytest.mark.parametrize("name", ["spectrum", "detector"])
def test_text_may_be_laid_out_more_freely(name, tmp_path):
    path, content = written(tmp_path, HAND_MADE[name], binary=False)
    lines = content.decode().splitlines()
    for again in ("\r\n".join(lines), "\n\n" + "\n \n\t\n".join(lines) + "\n\n\n", "\n".join(map(str.strip, lines))):
        path.write_bytes(again.encode())
        assert files.read(path) == HAND_MADE[name]


def test_weights_that_diverged_come_back(tmp_path):
    weights = np.array([[np.nan, np.inf], [-np.inf, 1e-45]], "float32")
    weights[0, 0] = np.copysign(weights[0, 0], -1)
    network = CiannaNetwork((1, 1, 1), 1, [Dense(1, 0.0, 0.1, "LIN", weights)])
    path, content = written(tmp_path, network, binary=False)
    assert content.splitlines()[2:4] == [b"-nan inf ", b"-inf 1.4013e-45 "], "as printf has them"
    assert np.signbit(files.read(path).layers[0].weights[0, 0])
    assert files.read(path) == network == files.read(written(tmp_path, network)[0])
    path.write_bytes(content.replace(b"inf", b"1e99"))
    assert files.read(path) == network


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
def test_only_the_first_layers(binary, tmp_path):
    path = reference_networks()["mini_darknet"].write(tmp_path, binary)
    whole = files.read(path)
    for count in (1, 5, 14, 40):
        part = files.read(path, layers=count)
        assert part == CiannaNetwork(whole.input_size, whole.channels, whole.layers[:count])
    end = len(written(tmp_path, files.read(path, layers=2), binary)[1])
    path.write_bytes(path.read_bytes()[:end] + b"garbage")
    assert len(files.read(path, layers=2).layers) == 2, "what follows is not looked at"
    with pytest.raises(ValueError, match="Expected layers >= 1 or None; received layers=0"):
        files.read(path, layers=0)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is none at .*none.dat: check the path"):
        files.read(tmp_path / "none.dat")
    with pytest.raises(ValueError, match="Expected a CIANNA model file; .* is no file"):
        files.read(tmp_path)
    (tmp_path / "net.dat").touch()
    with pytest.raises(ValueError, match=r"net.dat is empty \(byte 0\)"):
        files.read(tmp_path / "net.dat")


# Offsets in "detector": conv at 16, norm at 437, pool at 542, LRN at 667, conv at 724, its YOLO settings at 841.
INTEGER, FLOAT = "<i", "<f"
BINARY = {
    "input of no width": (0, INTEGER, 0, "byte 16: expected input size and channels of 1 to 2147483647; received 0, 5"),
    "input of 2^30": (0, INTEGER, 2**30, r"byte 16: expected maps of at most 2147483648 values; received \(1073741824"),
    "unknown letter": (16, "c", b"M", "layer 1, byte 17: expected a layer C, P, N, L or D; received 'M'"),
    "letter of no text": (437, "c", b"\xff", "layer 2, byte 438: expected a layer C, P, N, L or D; received 'ÿ'"),
    "most filters": (17, INTEGER, 2**31 - 1, "layer 1, byte 133: expected maps of at most"),
    "many filters": (17, INTEGER, 10**6, "layer 1, byte 133: expected 76000000 more bytes; the file has 1224"),
    "negative filters": (
        17,
        INTEGER,
        -1,
        "layer 1, byte 133: expected filters, .* of 1 to .*; received -1, 3, 3, 1, 6",
    ),
    "no kernel": (25, INTEGER, 0, "layer 1, byte 133: expected filters, kernel"),
    "wide kernel": (21, INTEGER, 2**31 - 1, "layer 1, byte 133: expected a window that fits the map"),
    "no stride": (33, INTEGER, 0, r"layer 1, byte 133: expected strides of 1 up to the kernel \(3, 3, 1\)"),
    "wide stride": (41, INTEGER, 2, "layer 1, byte 133: expected strides"),
    "negative padding": (45, INTEGER, -1, "layer 1, byte 133: expected padding of 0 to"),
    "padding of 2^30": (45, INTEGER, 2**30, "layer 1, byte 133: expected maps of at most"),
    "inner padding of 2^30": (65, INTEGER, 2**30, "layer 1, byte 133: expected maps of at most"),
    "other channels": (81, INTEGER, 3, "layer 1, byte 133: expected 2 input channels; received 3"),
    "dropout NaN": (85, FLOAT, np.nan, "layer 1, byte 133: expected a dropout rate from 0 to below 1; received nan"),
    "dropout 1": (85, FLOAT, 1.0, "layer 1, byte 133: expected a dropout rate"),
    "bias NaN": (89, FLOAT, np.nan, "layer 1, byte 133: expected finite bias; received nan"),
    "bias inf": (89, FLOAT, np.inf, "layer 1, byte 133: expected finite bias; received inf"),
    "other activation": (93, "4s", b"TANH", "layer 1, byte 133: expected an activation LIN, .*; received 'TANH_S800"),
    "leak of no number": (106, "5s", b"Lnan\0", "layer 1, byte 133: expected an activation"),
    "name without an end": (93, "40s", b"LIN" * 14, "layer 1, byte 133: expected a name of less than 40 letters"),
    "YOLO in a norm": (486, "5s", b"YOLO\0", "layer 2, byte 526: expected the activation YOLO on a convolution"),
    "softmax in a norm": (486, "5s", b"SMAX\0", "layer 2, byte 526: expected no activation SMAX on a normalisation"),
    "other norm": (438, "3s", b"BN\0", "layer 2, byte 478: expected a normalisation GN; received 'BN'"),
    "no group": (478, INTEGER, 0, "layer 2, byte 526: expected a group size that divides 4 channels; received 0"),
    "group of 3": (478, INTEGER, 3, "layer 2, byte 526: expected a group size that divides 4 channels; received 3"),
    "left out": (482, INTEGER, 3, "layer 2, byte 526: expected groups to leave out of 2 of 0 to 2; received 3"),
    "no window": (543, INTEGER, 0, "layer 3, byte 667: expected window of 1 to"),
    "pooling of strides": (555, INTEGER, 3, r"layer 3, byte 667: expected strides of 1 up to the window \(2, 2, 1\)"),
    "pooling of padding": (567, INTEGER, 2, r"layer 3, byte 667: expected a padding below the window"),
    "half global": (579, INTEGER, 2, "layer 3, byte 587: expected global to be 0 or 1; received 2"),
    "pooling of dropout": (583, FLOAT, -1.0, "layer 3, byte 667: expected a dropout rate"),
    "pooling MIN": (587, "4s", b"MIN\0", "layer 3, byte 667: expected a pooling MAX or AVG; received 'MIN'"),
    "softmax before the end": (627, "5s", b"SMAX\0", "layer 4, byte 724: expected the end of the file behind .* SMAX"),
    "no range": (668, INTEGER, 0, "layer 4, byte 724: expected range of 1 to"),
    "most range": (668, INTEGER, 2**31 - 1, "layer 4, byte 724: expected range of 1 to 65535"),
    "k NaN": (672, FLOAT, np.nan, "layer 4, byte 724: expected finite k, alpha and beta; received nan, 0.0001, 0.75"),
    "no boxes": (841, INTEGER, 0, "layer 5, byte 861: expected boxes of 1 to"),
    "most boxes": (841, INTEGER, 2**31 - 1, "layer 5, byte 861: expected 25769803764 more bytes; the file has"),
    "negative classes": (845, INTEGER, -1, "layer 5, byte 861: expected classes and parameters of 0 to"),
    "filters of YOLO": (
        849,
        INTEGER,
        2,
        r"layer 5, byte 957: expected 2 boxes of 8 \+ 1 classes \+ 2 param.* 20 filters",
    ),
    "no fitted axis": (853, INTEGER, 0, "layer 5, byte 957: expected fitted axes of 1 to 3; received 0"),
    "4 fitted axes": (853, INTEGER, 4, "layer 5, byte 957: expected fitted axes of 1 to 3; received 4"),
    "softmax of 2": (857, INTEGER, 2, "layer 5, byte 861: expected softmax of the classes to be 0 or 1; received 2"),
    "prior 0": (861, FLOAT, 0.0, "layer 5, byte 957: expected finite priors, positive on the 2 fitted axes"),
    "prior NaN": (877, FLOAT, np.nan, "layer 5, byte 957: expected finite priors"),
    "no slope": (885, FLOAT, 0.0, "layer 5, byte 957: expected slopes > 0 and each maximum above its minimum"),
    "maximum inf": (889, FLOAT, np.inf, "layer 5, byte 957: expected slopes > 0"),
}


@pytest.mark.parametrize("damage", BINARY)
def test_damaged_binary(damage, tmp_path):
    path, content = written(tmp_path, HAND_MADE["detector"])
    offset, form, value, sentence = BINARY[damage]
    patch = struct.pack(form, value)
    path.write_bytes(content[:offset] + patch + content[offset + len(patch) :])
    with pytest.raises(ValueError, match=sentence) as found:
        files.read(path)
    assert SENTENCE.match(str(found.value))


def test_trailing_bytes(tmp_path):
    for name, after in (("cube", "layer 4, byte {}: expected a layer"), ("detector", "layer 6, byte {}: expected")):
        path, content = written(tmp_path, HAND_MADE[name])
        for trail in (b"\0", b"\n", b"\0\0\0\0"):
            path.write_bytes(content + trail)
            with pytest.raises(ValueError, match=after.format(len(content) + 1)):
                files.read(path)
    dense = struct.pack("<ciff40s12f", b"D", 1, 0, 0, b"LIN", *range(12))
    path.write_bytes(content + dense)
    with pytest.raises(ValueError, match="layer 6, byte .*: expected the end of the file behind .* activation YOLO"):
        files.read(path)


def test_vectors_and_maps(tmp_path):
    path, content = written(
        tmp_path, HAND_MADE["dense to map"]
    )  # conv at 277, its input at 330, dropout of dense at 21
    for offset, patch, sentence in (
        (277, struct.pack("<c", b"P") + content[278:], "layer 2, byte .*: expected"),
        (
            330,
            struct.pack("<i", 4),
            r"layer 2, byte 394: expected a map of the 12 neurons .*; received \(4, 2, 1\) with 2",
        ),
        (21, struct.pack("<f", 0.3), "layer 2, byte 394: expected no dropout on a dense layer before a convolution"),
    ):
        path.write_bytes(content[:offset] + patch + content[offset + len(patch) :])
        with pytest.raises(ValueError, match=sentence):
            files.read(path)
    network = HAND_MADE["dense to map"]
    path.write_bytes(content[:277] + written(tmp_path, HAND_MADE["detector"])[1][437:542])
    with pytest.raises(ValueError, match="layer 2, byte 366: expected a convolution or a dense layer behind a dense"):
        files.read(path)
    assert network.layers[0].units == 12


@pytest.mark.parametrize("name", HAND_MADE)
def test_truncated_anywhere(name, tmp_path):
    network = HAND_MADE[name]
    path, content = written(tmp_path, network)
    ends = header_bytes(network)[1]
    assert ends[-1] == len(content)
    for size in range(1, len(content)):
        path.write_bytes(content[:size])
        if size in ends:  # a shorter network, which nothing tells from a cut one
            assert len(files.read(path).layers) == ends.index(size) + 1
            continue
        with pytest.raises(ValueError) as found:
            files.read(path)
        assert SENTENCE.match(str(found.value)), size
        layer = sum(end <= size for end in ends) + 1
        assert size <= 16 or f", layer {layer}, " in str(found.value)


@pytest.mark.parametrize("name", HAND_MADE)
def test_text_truncated_at_each_line(name, tmp_path):
    path, content = written(tmp_path, HAND_MADE[name], binary=False)
    lines = content.splitlines(keepends=True)
    read = []
    for count in range(1, len(lines)):
        path.write_bytes(b"".join(lines[:count]))
        try:
            read.append(len(files.read(path).layers))
        except ValueError as error:
            assert SENTENCE.match(str(error)) and ", line " in str(error)
    assert sorted(set(read)) == list(range(1, len(HAND_MADE[name].layers) + 1)), "whole layers only"


TEXT = {
    "no size": (r"^6x5x1x2", "6x5x1", "line 1: expected WxHxDxC; received '6x5x1'"),
    "negative": (r"^6x", "-6x", "line 1: expected input size and channels of 1 to"),
    "a size too large": (r"^6x", "99999999999x", "line 1: expected input size and channels of 1 to"),
    "unknown letter": (r"\nN GN", "\nM GN", "layer 2, line 8: expected a layer C, P, N, L or D; received 'M'"),
    "a later layer": (r"\nN GN", "\nNGRN", "layer 2, line 8: expected N GN S<group size>_O<set off><activation>"),
    "filters": (r"C4f", "C2147483647f", "layer 1, line 2: expected maps of at most"),
    "many filters": (r"C4f", "C10000000f", "layer 1, line 2: expected 10000000 lines of 19 numbers; the file has"),
    "no number": (r"0\.500000b", "x.500000b", "layer 1, line 2: expected C<filters>f<kernel>"),
    "half a number": (r"0\.500000b", "0.5e0e0b", "layer 1, line 2: expected 1 numbers; received '0.5e0e0'"),
    "bias NaN": (r"0\.500000b", "-nanb", "layer 1, line 2: expected finite bias; received nan"),
    "activation": (r"RELU", "SELU", "layer 1, line 2: expected an activation LIN, .*; received 'SELU_S800"),
    "long name": (r"RELU_S800", "RELU_S" + "8" * 30, "layer 1, line 2: expected an activation"),
    "line too short": (r"\n[-\d.]+ ", "\n", "layer 1, line 3: expected 19 numbers; received 18"),
    "line too long": (r" \n", " 1 \n", "layer 1, line 2: expected C<filters>f<kernel>"),
    "row too long": (r"(\n[-\d.]+ )", r"\g<1>1 ", "layer 1, line 3: expected 19 numbers; received more"),
    "a word": (r"\n[-\d.]+ ", "\nx ", "layer 1, line 3: expected 19 numbers; received 'x "),
    "Python's number": (r"\n[-\d.]+ ", "\n1_0 ", "layer 1, line 3: expected 19 numbers; received '1_0 "),
    "row lost": (r"\n[-\d. ]+\n", "\n", "layer 1, line 7: expected 19 numbers; received 3"),
    "other bytes": (r"\n[-\d.]+ ", "\n1\xe9 ", "layer 1, line 3: expected text; received other bytes"),
    "NUL": (r"\n[-\d.]+ ", "\n1\0 ", "layer 1, line 3: expected 19 numbers"),
    "group": (r"S2_O1", "S3_O1", "layer 2, line 8: expected a group size that divides 4 channels; received 3"),
    "pooling": (r"dMAX", "dMIN", "layer 3, line 12: expected a pooling MAX or AVG; received 'MIN'"),
    "global": (r"0g_", "7g_", "layer 3, line 12: expected global to be 0 or 1; received 7"),
    "range": (r"L 3 ", "L 0 ", "layer 4, line 14: expected range of 1 to"),
    "YOLO filters": (r"\n2 1 1 2 1\n", "\n2 1 2 2 1\n", r"layer 5, line 25: expected 2 boxes of 8 \+ 1 classes \+ 2"),
    "YOLO halves": (r"\n2 1 1 2 1\n", "\n2 1.5 1 2 1\n", "layer 5, line 16: expected five integers: boxes, classes"),
    "YOLO NaN": (r"\n2 1 1 2 1\n", "\n2 nan 1 2 1\n", "layer 5, line 16: expected five integers"),
    "YOLO inf": (r"\n2 1 1 2 1\n", "\ninf 1 1 2 1\n", "layer 5, line 16: expected five integers"),
    "YOLO boxes": (r"\n2 1 1 2 1\n", "\n9000000 1 1 2 1\n", "layer 5, line 16: expected 3 lines of 9000000 numbers"),
    "trailing words": (r"\s+$", "\n\nend", "layer 6, line 47: expected a layer C, P, N, L or D; received 'e'"),
    "trailing layer": (r"\s+$", "\n\nD1n0.0d0.1bLIN\n", "layer 6, line 47: expected the end of the file behind"),
}


@pytest.mark.parametrize("damage", TEXT)
def test_damaged_text(damage, tmp_path):
    path, content = written(tmp_path, HAND_MADE["detector"], binary=False)
    pattern, new, sentence = TEXT[damage]
    damaged, count = re.subn(pattern, new, content.decode(), count=1)
    assert count == 1
    path.write_bytes(damaged.encode("latin-1"))
    with pytest.raises(ValueError, match=sentence) as found:
        files.read(path)
    assert SENTENCE.match(str(found.value))


def test_one_form_taken_for_the_other(tmp_path):
    path, content = written(tmp_path, HAND_MADE["detector"], binary=False)
    path.write_bytes(b"\xff" + content[1:])
    with pytest.raises(ValueError, match="net.dat, byte 16: expected"):
        files.read(path)
    path, content = written(tmp_path, HAND_MADE["detector"])
    path.write_bytes(b"6x5x1x2\nC4f3x3x1" + content[16:])
    with pytest.raises(ValueError, match="net.dat, layer 1, line 2: expected"):
        files.read(path)
    for garbage in (b"\x89PNG\r\n\x1a\n" + bytes(100), b"PK\x03\x04" + b"\x11" * 500, b"<html>\n" * 9, b"\0" * 4096):
        path.write_bytes(garbage)
        with pytest.raises(ValueError) as found:
            files.read(path)
        assert SENTENCE.match(str(found.value))


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
def test_memory_is_what_the_file_holds(binary, tmp_path):
    """The arrays themselves (4 bytes a number, of which the text form has about 10), and a buffer."""
    path = reference_networks()["mnist_lenet"].write(tmp_path, binary)
    tracemalloc.start()
    files.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size * (1.0 if binary else 0.5) + 100_000


@pytest.mark.parametrize("size", [(64, 64, 256), (512, 512, 1), (35_000, 1, 1), (8192, 8192, 1)])
def test_sizes_of_real_users(size, tmp_path):
    network = CiannaNetwork(size, 3, [conv(32, (1, 1, 1), size, 3), pool(size, "AVG", is_global=True)])
    for binary in (True, False):
        assert files.read(written(tmp_path, network, binary)[0]) == network


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
def test_a_failed_write_leaves_what_was(binary, tmp_path):
    files.write(tmp_path / "net.dat", HAND_MADE["cube"], binary=binary)
    before = (tmp_path / "net.dat").read_bytes()
    unfit = detector()
    unfit.layers[-1].weights = np.full(unfit.layers[-1].weights.shape, "no number")
    for name in ("net.dat", "new.dat"):
        with pytest.raises(ValueError, match="could not convert string to float"):
            files.write(tmp_path / name, unfit, binary=binary)
    assert os.listdir(tmp_path) == ["net.dat"]
    assert (tmp_path / "net.dat").read_bytes() == before
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(os.stat(tmp_path / "net.dat").st_mode) == stat.S_IMODE(os.stat(tmp_path / "plain").st_mode)


def test_what_cannot_be_written(tmp_path):
    def unfit(**settings):
        network = detector()
        for name, value in settings.items():
            setattr(network.layers[0], name, value)
        return network

    no_yolo, other_priors = detector(), detector()
    no_yolo.layers[-1].yolo = None
    other_priors.layers[-1].yolo.priors = np.ones((3, 3), "float32")
    for network, sentence in (
        (unfit(weights=values(4, 18)), r"layer 1: expected weights of shape \(4, 19\); received \(4, 18\)"),
        (unfit(weights=None), r"layer 1: expected weights of shape \(4, 19\); received \(\)"),
        (unfit(dropout=0.9999999), "layer 1: expected a dropout rate"),  # 1.000000 in text
        (unfit(bias_value=1e39), r"layer 1: expected finite bias; received 1e\+39"),
        (unfit(activation="tanh"), "layer 1: expected an activation"),
        (unfit(filters=2**31), "layer 1: expected filters"),
        (no_yolo, "layer 5: expected YOLO settings with the activation YOLO, and only there"),
        (other_priors, r"layer 5: expected priors \(2, 3\) and slopes \(6, 3\); received \(3, 3\)"),
        (CiannaNetwork((1, 1, 1), 1, []), "expected at least one layer"),
    ):
        with pytest.raises(ValueError, match=f"net.dat.*{sentence}.*: no such network can be written"):
            files.write(tmp_path / "net.dat", network)
    assert not os.listdir(tmp_path)


def test_what_cianna_refuses():
    norm, window, first = Norm(1, 0, "LIN", values(2), values(2)), pool((2, 2, 1)), conv(2, (1, 1, 1), (8, 8, 1), 2)
    dropped = conv(2, (1, 1, 1), (8, 8, 1), 2)
    dropped.dropout = 0.1

    def refused(*layers):
        return files.cianna_refuses(CiannaNetwork((8, 8, 1), 2, list(layers)))

    assert refused(norm) == (1, "a normalisation stands behind a convolution or a pooling")
    assert refused(first, norm, norm)[0] == 3
    assert refused(window, window) == (2, "a pooling stands behind a convolution, or its normalisation")
    assert refused(first, window, norm, window)[0] == 4
    assert refused(dropped, window) == (2, "a pooling does not follow dropout")
    assert refused(first, window, norm, first, norm, window, dropped, norm, window) is None


def test_activation_values():
    assert files.activation_values("LIN")[0] == "LIN"
    assert files.activation_values(RELU) == files.activation_values("RELU") == ("RELU", 800.0, 0.05)
    assert files.activation_values("RELU_Sinf_L0.00") == ("RELU", np.inf, 0.0)
    assert files.activation_values("LOGI_S5.00") == ("LOGI", 5.0, 1.0)
