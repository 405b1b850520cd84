"""The loaders of published sets, on small files of the same form; what is wrong in them is named."""

import numpy as np
import pytest
from PIL import Image

from astrokeras import datasets
from astrokeras.datasets.image_files import in_test


def save_image(path, value, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, value).save(path)


# ---- ImageFiles and image_folder


def test_image_files_are_an_array_that_stays_on_disk(tmp_path):
    for i, size in enumerate([(40, 30), (30, 40), (64, 64)]):
        save_image(tmp_path / f"{i}.png", (10 * i, 20, 30), size)
    images = datasets.ImageFiles(sorted(tmp_path.iterdir()), size=16, names=["a"])
    assert len(images) == 3 and images.shape == (3, 16, 16, 3) and images.dtype == np.uint8 and images.names == ("a",)
    assert images[1].shape == (16, 16, 3) and images[1][0, 0].tolist() == [10, 20, 30]
    assert images[[2, 0]][:, 0, 0, 0].tolist() == [20, 0] and images[3:].shape == (0, 16, 16, 3)
    np.testing.assert_array_equal(np.asarray(images), images[:])
    batches = datasets.ImageDataset(images, np.arange(3), 2, seed=1)
    x, y = batches[0]
    assert x.dtype == np.float32 and (x[:, 0, 0, 0] == 10 * y).all()


def test_the_central_square_is_kept(tmp_path):
    picture = np.zeros((30, 50, 3), "uint8")
    picture[5:25, 15:35] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert (datasets.ImageFiles([tmp_path / "a.png"], 10, crop=20)[0] == 255).all()
    whole = datasets.ImageFiles([tmp_path / "a.png"], 30)[0]
    np.testing.assert_array_equal(whole, picture[:, 10:40])
    with pytest.raises(ValueError, match=r"at least 40x40 pixels for crop=40; .*a\.png has 50x30"):
        datasets.ImageFiles([tmp_path / "a.png"], 10, crop=40)[0]
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"b\.png is missing, damaged"):
        datasets.ImageFiles([tmp_path / "b.png"], 10)[0]
    with pytest.raises(ValueError, match="Expected size >= 1"):
        datasets.ImageFiles([], 0)


def test_image_folder_with_parts_and_without(tmp_path):
    for part in ("train", "val"):
        for name, value in (("dogs", 200), ("cats", 50)):
            save_image(tmp_path / "parts" / part / name / f"{part}.jpg", (value,) * 3)
    (x, y), (x_test, y_test) = datasets.image_folder(tmp_path / "parts", 8)
    assert x.names == ("cats", "dogs") and y.tolist() == y_test.tolist() == [0, 1]
    assert abs(int(x[1].mean()) - 200) < 5 and "val" in x_test.paths[0]

    for name in ("cats", "dogs"):
        for i in range(40):
            save_image(tmp_path / "whole" / name / f"{i}.png", (0, 0, 0), (8, 8))
    (x, y), (x_test, y_test) = datasets.image_folder(tmp_path / "whole", 8, test=0.2)
    assert len(x) + len(x_test) == 80 and not set(x.paths) & set(x_test.paths)
    held_out = {f"{i}.png" for i in range(40) if in_test(f"{i}.png", 0.2)}
    assert {path.rsplit("/", 1)[1] for path in x_test.paths} == held_out


def test_image_folder_refuses(tmp_path):
    with pytest.raises(ValueError, match="one subfolder per class, at least 2; found 0"):
        datasets.image_folder(tmp_path)
    save_image(tmp_path / "a" / "1.png", (0, 0, 0))
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match="the .* part has none of b"):
        datasets.image_folder(tmp_path, test=1e-9)
    with pytest.raises(ValueError, match="Expected test between 0 and 1"):
        datasets.image_folder(tmp_path, test=1.0)
    for part, name in (("train", "a"), ("train", "b"), ("test", "a"), ("test", "c")):
        save_image(tmp_path / "differ" / part / name / "1.png", (0, 0, 0))
    with pytest.raises(ValueError, match="the same classes in .* received a, b and a, c"):
        datasets.image_folder(tmp_path / "differ")


# ---- ASIRRA


def test_asirra_binary(tmp_path, rng):
    images = rng.integers(0, 256, (20, 6, 6, 3)).astype("uint8")
    images.tofile(tmp_path / "asirra.dat")
    (x, y), (x_test, y_test) = datasets.asirra(tmp_path / "asirra.dat", count=20, test=3)
    np.testing.assert_array_equal(x, np.concatenate([images[:7], images[10:17]]))
    np.testing.assert_array_equal(x_test, np.concatenate([images[7:10], images[17:]]))
    assert y.tolist() == [0] * 7 + [1] * 7 and y_test.tolist() == [0] * 3 + [1] * 3
    with pytest.raises(ValueError, match="25000 square RGB images of uint8; its 2160 bytes"):
        datasets.asirra(tmp_path / "asirra.dat")
    with pytest.raises(ValueError, match="more than test=10 images of each class; .* has 10 of cat"):
        datasets.asirra(tmp_path / "asirra.dat", count=20, test=10)


@pytest.mark.parametrize("layout", ["{name}.{i}.jpg", "{title}/{i}.jpg"])
def test_asirra_folder(tmp_path, layout):
    for i in range(12):
        for name, value in (("cat", 40), ("dog", 200)):
            save_image(tmp_path / layout.format(name=name, title=name.title(), i=i), (value,) * 3)
    (x, y), (x_test, y_test) = datasets.asirra(tmp_path, size=8, test=2)
    assert x.names == ("cat", "dog") and len(x) == 20 and y_test.tolist() == [0, 0, 1, 1]
    assert [path.rsplit(".", 2)[-2].rsplit("/")[-1] for path in x_test.paths] == ["10", "11"] * 2  # by number
    assert abs(int(x_test[0].mean()) - 40) < 5 and abs(int(x_test[3].mean()) - 200) < 5


# ---- stellar spectra


@pytest.fixture
def spectra(tmp_path, rng):
    flux = rng.uniform(-0.01, 0.05, (240, 3753)).round(4)
    labels = np.concatenate([np.repeat(np.arange(7), 34), [0, 1]])
    np.savetxt(tmp_path / "train.dat", flux, fmt="%.4f")
    np.savetxt(tmp_path / "target.dat", np.eye(7)[labels], fmt="%d")
    return tmp_path, flux, labels


def test_stellar_spectra(spectra):
    path, flux, labels = spectra
    np.savetxt(path / "target.dat", np.eye(7)[np.arange(240) % 7], fmt="%d")
    (x, y), (x_test, y_test) = datasets.stellar_spectra(path)
    assert x.shape == (40, 3776, 1) and x_test.shape == (200, 3776, 1) and x.dtype == np.float32
    assert y.tolist() == [i % 7 for i in range(40)] and y_test.tolist() == [i % 7 for i in range(40, 240)]
    np.testing.assert_allclose(x[3, 11:3764, 0], np.tanh(40 * np.clip(flux[3], 0, 1)), rtol=1e-5)
    assert not x[:, :11].any() and not x[:, 3764:].any()
    (x_course, y_course), (again, _) = datasets.stellar_spectra(path, course_split=True)
    assert np.bincount(y_course).tolist() == [10, 30, 30, 20, 20, 30, 10]
    np.testing.assert_array_equal(again, x_test)
    np.testing.assert_array_equal(x_course[9], x_test[9 * 7 - 40])  # the leak: the tenth O star is a test spectrum


def test_stellar_spectra_refuses(spectra):
    path, flux, _ = spectra
    with pytest.raises(ValueError, match=r"every type outside the last 200; there are none of \['A'"):
        datasets.stellar_spectra(path)
    np.savetxt(path / "train.dat", flux[:, :100], fmt="%.4f")
    with pytest.raises(ValueError, match=r"train\.dat to have 3753 columns; received 100"):
        datasets.stellar_spectra(path)
    (path / "train.dat").write_text("no numbers\n")
    with pytest.raises(ValueError, match=r"train\.dat to be a text table of 3753 numbers a row"):
        datasets.stellar_spectra(path)
    (path / "train.dat").write_text("")
    with pytest.raises(ValueError, match="it is empty"):
        datasets.stellar_spectra(path)
    (path / "train.dat").unlink()
    with pytest.raises(FileNotFoundError, match=r"nothing at .*train\.dat"):
        datasets.stellar_spectra(path)


# ---- Galaxy Zoo 2


@pytest.fixture
def galaxies(tmp_path):
    folder = tmp_path / "images"
    kinds = ["Er", "SBc2m", "Sc+t", "A", "Ei", "SBb", "Ser", "Sb"]
    rows = ["objid,sample,asset_id,gz2class,smooth,featured"]
    for i in range(160):
        save_image(folder / f"{1000 + i}.jpg", (i, i, i), (24, 24))
        rows.append(f"{587 + i},x,{1000 + i},{kinds[i % 8]},{i % 5},{i % 3}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(rows) + "\n")
    return folder, table


def test_galaxy_zoo2_classes_exclude_each_other(galaxies):
    folder, table = galaxies
    (x, y), (x_test, y_test) = datasets.galaxy_zoo2(folder, test=0.2)  # finds the table beside the folder
    assert x.names == ("elliptical", "barred spiral", "spiral") and x.shape[1:] == (64, 64, 3)
    assert len(x) + len(x_test) == 140, "artefacts are left out"
    numbers = [int(path.rsplit("/", 1)[1][:4]) - 1000 for path in x.paths]
    expected = {0: 0, 1: 1, 2: 2, 4: 0, 5: 1, 6: 2, 7: 2}
    assert y.tolist() == [expected[i % 8] for i in numbers]
    assert all(not in_test(str(587 + i), 0.2) for i in numbers)
    assert sorted(set(y_test)) == [0, 1, 2]


def test_galaxy_zoo2_votes_and_crop(galaxies):
    folder, table = galaxies
    (x, y), _ = datasets.galaxy_zoo2(folder, table, size=8, crop=12, answers=["smooth", "featured"], test=0.1)
    assert y.dtype == np.float32 and y.shape == (len(x), 2) and x.names is None
    number = int(x.paths[5].rsplit("/", 1)[1][:4]) - 1000
    assert y[5].tolist() == [number % 5, number % 3] and abs(int(x[5].mean()) - number) < 4
    save_image(folder / "1000.jpg", (0, 0, 0), (424, 424))
    assert datasets.galaxy_zoo2(folder, table)[0][0].crop == 256


def test_galaxy_zoo2_refuses(galaxies):
    folder, table = galaxies
    (folder / "1001.jpg").unlink()
    (folder / "1002.jpg").unlink()
    with pytest.warns(
        UserWarning, match=r"2 of 140 galaxies of .*table\.csv have no image in .* \(1001\.jpg, \.\.\.\)"
    ):
        (x, _), (x_test, _) = datasets.galaxy_zoo2(folder, table)
    assert len(x) + len(x_test) == 138
    with pytest.raises(ValueError, match="an image of every galaxy; 2 of 140"):
        datasets.galaxy_zoo2(folder, table, missing="raise")
    with pytest.raises(ValueError, match='missing to be "warn" or "raise"'):
        datasets.galaxy_zoo2(folder, table, missing="drop")
    with pytest.raises(ValueError, match="to have the column bars; it has objid, sample"):
        datasets.galaxy_zoo2(folder, table, answers=["bars"])
    text = table.read_text()
    table.write_text(text.replace("590,x,1003,A,3,0", "590,x,1003,A,-3,0"))
    with pytest.raises(ValueError, match=r"vote counts >= 0 in .*; row 5 has \[-3\.0\] \(1 rows are so\)"):
        datasets.galaxy_zoo2(folder, table, answers=["smooth"])
    table.write_text(text.replace("590,x,1003,A,3,0", "590,x"))
    with pytest.raises(ValueError, match=r"6 columns in each row of .*; row 5 has 2"):
        datasets.galaxy_zoo2(folder, table)
    table.write_text("\n".join(line for line in text.splitlines() if "SB" not in line and ",1002," not in line))
    with pytest.raises(ValueError, match="the train part has none of barred spiral"):
        datasets.galaxy_zoo2(folder, table)
    (folder / "second.csv").write_text("")
    with pytest.raises(FileNotFoundError, match=r"one \.csv file in or beside .*; found 2"):
        datasets.galaxy_zoo2(folder)


def test_galaxy_zoo2_table_of_the_course(galaxies):
    folder, table = galaxies
    lines = [line.split(",") for line in table.read_text().splitlines()]
    table.write_text(
        "\n".join(",".join(["a", "b", "c"] if i == 0 else [w[0], w[2], w[3]]) for i, w in enumerate(lines))
    )
    (x, _), (x_test, _) = datasets.galaxy_zoo2(folder, table)
    assert len(x) + len(x_test) == 140


# ---- your own arrays


def test_arrays_are_returned_as_stored(tmp_path, rng):
    x, y = rng.random((5, 16, 2)), rng.integers(0, 2, (5, 3))
    np.savez(tmp_path / "my.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    (x_read, y_read), (x_test, _) = datasets.arrays(tmp_path / "my.npz")
    np.testing.assert_array_equal(x_read, x)
    np.testing.assert_array_equal(y_read, y)
    assert len(x_test) == 2
    np.savez(tmp_path / "short.npz", x_train=x, y_train=y[:3], x_test=x[:2], y_test=y[:2])
    with pytest.raises(
        ValueError, match=r"as many inputs \(n, \.\.\., channels\) as labels; received x_train \(5, 16, 2\)"
    ):
        datasets.arrays(tmp_path / "short.npz")
    np.savez(tmp_path / "lacks.npz", x_train=x)
    with pytest.raises(ValueError, match="lacks y_train and holds x_train"):
        datasets.arrays(tmp_path / "lacks.npz")
    np.save(tmp_path / "other.npz.npy", x)
    (tmp_path / "other.npz.npy").rename(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"a whole \.npz file"):
        datasets.arrays(tmp_path / "other.npz")


def test_cifar10_of_some_classes(tmp_path, rng):
    x, y = rng.integers(0, 256, (40, 32, 32, 3)).astype("uint8"), np.arange(40) % 10
    np.savez(tmp_path / "c.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    (x_two, y_two), (x_test, y_test) = datasets.cifar10(tmp_path / "c.npz", classes=("dog", "cat"))
    np.testing.assert_array_equal(x_two, x[(y == 3) | (y == 5)])
    assert y_two.tolist() == [1, 0] * 4 and len(x_test) == len(y_test) == 4
    with pytest.raises(ValueError, match="classes among airplane, .*; received wolf"):
        datasets.cifar10(tmp_path / "c.npz", classes=("cat", "wolf"))
