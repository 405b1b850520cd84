"""Mutated files of CIANNA give a ValueError or a network that can be written, and take no memory beyond their size."""

import re
import struct
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrokeras import cianna_files as files
from tests.cianna_reference import HAND_MADE, SENTENCE, header_bytes, reference_networks, written

LARGE = ("mnist_lenet", "mini_darknet")  # they add weights only
FUZZED = [name for name in sorted(reference_networks()) if name not in LARGE] + list(HAND_MADE)
INTEGERS = st.sampled_from([-(2**31), -1, 0, 1, 2, 3, 255, 2**16, 2**28, 2**30, 2**31 - 1]) | st.integers(0, 40)


def mutated_binary(data, content, headers):
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        if not content:
            break
        offset = st.sampled_from(headers) | st.integers(0, len(content) - 1)
        at = min(data.draw(offset), len(content) - 1)
        match data.draw(st.sampled_from(["bit", "integer", "integer", "cut", "insert", "remove", "double"])):
            case "bit":
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "integer":
                content[at : at + 4] = struct.pack("<i", data.draw(INTEGERS))
            case "cut":
                del content[at:]
            case "insert":
                content[at:at] = data.draw(st.binary(min_size=1, max_size=16))
            case "remove":
                del content[at : at + data.draw(st.integers(1, 16))]
            case "double":
                content[at:at] = content[at : at + data.draw(st.integers(1, 400))]
    return bytes(content)


def mutated_text(data, content, headers):
    lines = content.splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 3))):
        if not lines:
            break
        at = min(data.draw(st.sampled_from(headers) | st.integers(0, len(lines) - 1)), len(lines) - 1)
        line = lines[at]
        places = [m.span() for m in re.finditer(rb"\d+", line)] or [(0, len(line))]
        start, end = data.draw(st.sampled_from(places))
        match data.draw(st.sampled_from(["number", "number", "word", "bytes", "cut", "remove", "double", "swap"])):
            case "number":
                lines[at] = line[:start] + str(data.draw(INTEGERS)).encode() + line[end:]
            case "word":
                word = data.draw(
                    st.sampled_from([b"", b"nan", b"-inf", b"1e300", b"1_0", b"YOLO", b"SMAX", b"0.5", b"1 "])
                )
                lines[at] = line[:start] + word + line[end:]
            case "bytes":
                lines[at] = line[:start] + data.draw(st.binary(max_size=3)) + line[end:]
            case "cut":
                lines[at:] = [line[:start]]
            case "remove":
                del lines[at]
            case "double":
                lines[at:at] = lines[at : at + data.draw(st.integers(1, 9))]
            case "swap":
                lines[at], lines[at - 1] = lines[at - 1], line
    return b"".join(lines)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Per name: binary, its header offsets, text, the numbers of its lines without weights."""
    folder, found = tmp_path_factory.mktemp("sources"), {}
    for name in FUZZED:
        if name in HAND_MADE:
            binary, text = (written(folder, HAND_MADE[name], form)[1] for form in (True, False))
        else:
            binary, text = reference_networks()[name].binary, reference_networks()[name].text
        (folder / "net.dat").write_bytes(binary)
        headers, _ = header_bytes(files.read(folder / "net.dat"))
        lines = [i for i, line in enumerate(text.splitlines()) if i == 0 or line[:1].isupper()]
        found[name] = binary, headers, text, lines
    return folder / "net.dat", found


def check_mutated(path, content, most, binary):
    """Read what was mutated; what is read can be written and read again."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        network = files.read(path)
    except ValueError as error:
        assert SENTENCE.match(str(error)) or not content, "a sentence that names file, layer and place"
        network = None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < most * len(content) + 100_000
    if network is None:
        return
    files.write(path, network)
    assert files.read(path) == network
    if binary:
        assert path.read_bytes() == content, "nothing of a file is lost"
    else:
        files.write(path, network, binary=False)
        again, once = files.read(path), path.read_bytes()
        files.write(path, again, binary=False)
        assert path.read_bytes() == once, "6 digits are kept"


def fuzz_binary(sources, data):
    path, found = sources
    binary, headers, _, _ = found[data.draw(st.sampled_from(FUZZED))]
    check_mutated(path, mutated_binary(data, binary, headers), most=3, binary=True)  # weights and one copy


def fuzz_text(sources, data):
    path, found = sources
    _, _, text, headers = found[data.draw(st.sampled_from(FUZZED))]
    check_mutated(
        path, mutated_text(data, text, headers), most=40, binary=False
    )  # words of a line, as Python's objects


FEW = settings(max_examples=300, deadline=5000, suppress_health_check=[HealthCheck.too_slow], database=None)
MANY = settings(FEW, max_examples=10_000)


@FEW
@given(data=st.data())
def test_mutated_binary(sources, data):
    fuzz_binary(sources, data)


@FEW
@given(data=st.data())
def test_mutated_text(sources, data):
    fuzz_text(sources, data)


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_mutated_binary_thousands(sources, data):
    fuzz_binary(sources, data)


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_mutated_text_thousands(sources, data):
    fuzz_text(sources, data)
