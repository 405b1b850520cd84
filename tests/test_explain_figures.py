import numpy as np
import pytest
from matplotlib.figure import Figure

from astrokeras import plots


def test_occlusion_panels(rng):
    image, found = rng.integers(0, 256, (12, 16, 3), dtype="uint8"), rng.normal(size=(12, 16))
    hidden = image.copy()
    hidden[2:6, 3:9] = 128
    figure = plots.occlusion(image, hidden, found, "a dog", what="lost probability")
    assert isinstance(figure, Figure) and figure.get_suptitle() == "a dog"
    left, middle, right, colours = figure.axes
    np.testing.assert_allclose(left.images[0].get_array(), hidden / 255, atol=1e-6)
    np.testing.assert_allclose(middle.images[0].get_array(), found, atol=1e-6)
    assert middle.images[0].get_clim() == pytest.approx((-np.abs(found).max(), np.abs(found).max()))
    assert left.get_xlabel() == "x (pixels)" and colours.get_ylabel() == "lost probability"
    assert left.images[0].get_extent() == [0, 16, 12, 0]
    painted = right.images[0].get_array()
    strongest = np.unravel_index(found.argmax(), found.shape)
    weakest = np.unravel_index(found.argmin(), found.shape)
    assert painted[strongest][0] > painted[strongest][2] and painted[weakest][2] > painted[weakest][0]
    assert plots.occlusion(image, None, np.abs(found)).axes[0].get_title() == "image"


def test_occlusion_of_spectra_and_cubes(rng):
    spectrum, found = rng.random((30, 2)), rng.normal(size=30)
    figure = plots.occlusion(spectrum, spectrum, found)
    assert len(figure.axes) == 4 and len(figure.axes[0].patches) == 2
    np.testing.assert_allclose(figure.axes[1].patches[0].get_data().values, found, atol=1e-6)
    cube, found = rng.random((3, 5, 6, 1)), rng.normal(size=(3, 5, 6))
    drawn = plots.occlusion(cube, cube, found).axes[1].images[0].get_array()
    expected = np.where(found.max(0) > -found.min(0), found.max(0), found.min(0))  # the value farthest from zero
    np.testing.assert_allclose(drawn, expected, atol=1e-6)


def test_animation_fills_the_map(rng, tmp_path):
    image, fill = np.zeros((4, 6, 1)), np.ones((4, 6, 1))
    boxes, differences = np.array([[0, 0, 4, 4], [2, 0, 6, 4]]), np.array([1.0, -0.5])
    animation = plots.occlusion_animation(image, fill, boxes, differences, "title")
    animation.save(tmp_path / "map.gif", writer="pillow", dpi=40)
    assert (tmp_path / "map.gif").stat().st_size > 1000
    left, right = animation._fig.axes[:2]
    hidden = left.images[0].get_array()[..., 0]
    np.testing.assert_array_equal(hidden, np.repeat([[0, 0, 1, 1, 1, 1]], 4, axis=0))
    red, blue = right.images[0].get_array()[..., 0], right.images[0].get_array()[..., 2]
    assert (red[:, :4] > blue[:, :4]).all() and (red[:, 4:] < blue[:, 4:]).all()  # 1, 0.25 where both are, -0.5
    assert red[0, 0] - blue[0, 0] > red[0, 2] - blue[0, 2] > 0
    assert right.patches[0].get_bbox().bounds == (2, 0, 4, 4)


def test_feature_maps(rng):
    maps = np.zeros((6, 5, 2))
    maps[1, 1, 0] = maps[4, 3, 1] = 7
    figure = plots.feature_maps(maps, "conv1")
    together, first = figure.axes[0].images[0].get_array(), figure.axes[1].images[0].get_array()
    assert (
        together[1, 1].max() > 0.5
        and together[4, 3].max() > 0.5
        and together.sum() == pytest.approx(together[1, 1].sum() + together[4, 3].sum())
    )
    assert first[1, 1].max() > 0.5 and first[4, 3].max() == 0 and figure.get_suptitle() == "conv1"
    assert not np.allclose(together[1, 1], together[4, 3]), "each map has its colour"
    many = plots.feature_maps(rng.random((6, 5, 40)), most=6, columns=3)
    assert [axes.get_title() for axes in many.axes] == ["all 40 maps", "0", "1", "2", "3", "4", "5"]
    assert len(plots.feature_maps(rng.random((3, 6, 5, 4))).axes) == 5
    assert len(plots.feature_maps(rng.random((30, 4))).axes) == 5


def test_filters(rng):
    kernels = rng.normal(size=(6, 5, 5, 1))
    figure = plots.filters(kernels, "first", columns=3)
    assert len(figure.axes) == 7 and figure.axes[-1].get_ylabel() == "weight"
    np.testing.assert_allclose(figure.axes[4].images[0].get_array(), kernels[4, ..., 0], rtol=1e-6)
    limit = np.abs(kernels).max()
    assert figure.axes[0].images[0].get_clim() == pytest.approx((-limit, limit))
    colours = plots.filters(rng.normal(size=(4, 3, 3, 3)))
    assert len(colours.axes) == 4 and colours.axes[0].images[0].get_array().shape == (3, 3, 3)
    assert len(plots.filters(rng.normal(size=(2, 3, 3))).axes) == 3
    assert plots.filters(rng.normal(size=(2, 9, 1))).axes[0].images[0].get_array().shape == (1, 9)
    assert plots.filters(rng.normal(size=(2, 4, 3, 3, 1))).axes[0].images[0].get_array().shape == (3, 3)


def test_refusals():
    image = np.zeros((4, 4, 1))
    with pytest.raises(ValueError, match=r"a map \(\[z, \[y,\]\] x\) of the same pixels; received shapes \(4, 4, 1\)"):
        plots.occlusion(image, image, np.zeros((4, 5)))
    with pytest.raises(ValueError, match="of the same pixels; received shapes"):
        plots.occlusion(image, image[:3], np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r"boxes \(windows, 4\) and as many differences; received shapes"):
        plots.occlusion_animation(image, image, np.zeros((3, 4)), np.zeros(2))
    for maps in (np.zeros(4), np.zeros((4, 4, 0)), np.full((4, 4, 1), np.nan)):
        with pytest.raises(ValueError, match="Expected finite maps"):
            plots.feature_maps(maps)
    with pytest.raises(ValueError, match="Expected finite filters"):
        plots.filters(np.zeros((3, 3)))
