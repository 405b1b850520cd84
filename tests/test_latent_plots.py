import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import norm
from sklearn.decomposition import PCA

from astrokeras import plots


def texts(labels):
    return [label.get_text() for label in labels]


def sheet_of(figure):
    return figure.axes[0].images[0].get_array()


def test_image_rows_places_each_image(rng, tmp_path):
    images = rng.integers(0, 256, (2, 3, 6, 5, 3)).astype("uint8")
    figure = plots.image_rows(images, ["a", "b"], ["x", "y", "z"], "title")
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png")
    sheet, axes = sheet_of(figure), figure.axes[0]
    assert sheet.shape == (13, 17, 3)
    np.testing.assert_allclose(sheet[7:13, 12:17], images[1, 2] / 255, atol=1e-6)
    assert (sheet[6] == 1).all() and (sheet[:, 5] == 1).all()  # the gaps are white
    assert texts(axes.get_yticklabels()) == ["a", "b"] and texts(axes.get_xticklabels()) == ["x", "y", "z"]
    assert axes.get_yticks().tolist() == [2.5, 9.5] and axes.get_xticks().tolist() == [2, 8, 14]
    assert axes.get_title() == "title"
    grey = sheet_of(plots.image_rows(np.array([-3.0, 0.25, 9.0]).reshape(1, 3, 1, 1, 1)))
    np.testing.assert_array_equal(grey.filled(-1), [[0, -1, 0.25, -1, 1]])  # clipped, with blank gaps


def test_sample_grid_leaves_the_rest_blank(rng):
    images = rng.random((5, 4, 4, 1)).astype("float32")
    sheet = sheet_of(plots.sample_grid(images))
    assert sheet.shape == (9, 14)
    np.testing.assert_array_equal(sheet[5:, 5:9], images[4, ..., 0])
    assert np.ma.getmaskarray(sheet)[5:, 10:].all()
    assert sheet_of(plots.sample_grid(images, columns=5)).shape == (4, 24)
    with pytest.raises(ValueError, match="columns >= 1"):
        plots.sample_grid(images, columns=0)


def test_reconstructions_chain_and_neighbours(rng):
    images = rng.random((4, 5, 5, 1)).astype("float32")
    figure = plots.reconstructions(images, images / 2, noisy=images / 4)
    np.testing.assert_array_equal(sheet_of(figure)[12:17, 18:23], images[3, ..., 0] / 2)
    assert texts(plots.reconstructions(images, images).axes[0].get_yticklabels()) == ["image", "rebuilt"]
    chain = plots.image_chain(images.reshape(2, 2, 5, 5, 1), [9, 0])
    assert texts(chain.axes[0].get_xticklabels()) == ["t = 9", "0"]
    np.testing.assert_array_equal(sheet_of(chain)[6:, 6:], images[3, ..., 0])
    near = plots.nearest_images(images[:2], images, np.array([[0, 2], [1, 3]]))
    np.testing.assert_array_equal(sheet_of(near)[6:, 12:], images[3, ..., 0])
    np.testing.assert_array_equal(sheet_of(near)[:5, :5], images[0, ..., 0])


def test_image_refusals(rng):
    images = rng.random((4, 5, 5, 1)).astype("float32")
    with pytest.raises(ValueError, match=r"images \(rows, columns, y, x, 1 or 3\); received shape"):
        plots.image_rows(images)
    with pytest.raises(ValueError, match="2 row_names, one per row; received 1"):
        plots.image_rows(images.reshape(2, 2, 5, 5, 1), ["a"])
    with pytest.raises(ValueError, match="2 column_names"):
        plots.image_chain(images.reshape(2, 2, 5, 5, 1), [3, 2, 1])
    with pytest.raises(ValueError, match="without NaN; received NaN in 1 values"):
        plots.sample_grid(np.where(np.arange(100).reshape(images.shape) == 7, np.nan, images))
    with pytest.raises(ValueError, match="of one shape"):
        plots.reconstructions(images, images[:, :4])
    with pytest.raises(ValueError, match=r"indices \(4, count\)"):
        plots.nearest_images(images, images, np.zeros((3, 2), int))


def test_latent_scatter(rng):
    latent, labels = rng.normal(size=(300, 2)), rng.integers(0, 3, 300)
    figure = plots.latent_scatter(latent, labels, ["a", "b", "c"], "digits")
    axes = figure.axes[0]
    points = axes.collections[0]
    assert len(points.get_offsets()) == 300 and texts(axes.texts) == ["a", "b", "c"]
    assert texts(axes.get_legend().get_texts()) == ["a", "b", "c"] and axes.get_title() == "digits"
    place = {tuple(row): label for row, label in zip(latent, labels, strict=True)}
    drawn = np.array([place[tuple(row)] for row in np.asarray(points.get_offsets())])
    colours = points.get_facecolors()
    assert len(np.unique(colours, axis=0)) == 3
    assert all(len(np.unique(colours[drawn == label], axis=0)) == 1 for label in range(3))
    np.testing.assert_allclose(axes.texts[1].get_position(), np.median(latent[labels == 1], axis=0))
    assert len(plots.latent_scatter(latent).axes[0].texts) == 0
    many = plots.latent_scatter(latent, np.arange(300) % 30)
    assert len(np.unique(many.axes[0].collections[0].get_facecolors(), axis=0)) == 30


def test_latent_scatter_of_more_variables_is_their_principal_components(rng):
    latent = rng.normal(size=(200, 6)) * [1, 5, 2, 3, 1, 1] + 4
    axes = plots.latent_scatter(latent).axes[0]
    witness = PCA(2).fit(latent)
    drawn, expected = np.asarray(axes.collections[0].get_offsets()), witness.transform(latent)
    np.testing.assert_allclose(np.abs(drawn), np.abs(expected), atol=1e-9)
    first = round(100 * witness.explained_variance_ratio_[0])
    assert axes.get_xlabel() == f"component 1 ({first} % of the variance)"


def test_latent_scatter_refuses():
    for latent in (np.zeros((3, 1)), np.full((3, 2), np.nan), np.zeros(4)):
        with pytest.raises(ValueError, match="finite latent vectors"):
            plots.latent_scatter(latent)
    with pytest.raises(ValueError, match="Expected 3 labels"):
        plots.latent_scatter(np.zeros((3, 2)), np.zeros(2, int))
    with pytest.raises(ValueError, match="at least 3 names; received 2"):
        plots.latent_scatter(np.zeros((3, 2)), np.arange(3), ["a", "b"])


def test_polar_grid_is_the_course_s():
    expected = np.zeros((8, 60, 2))
    for i, radius in enumerate(np.linspace(3, 25, 8)):
        for j, angle in enumerate(np.linspace(0, 2 * np.pi, 60, endpoint=False)):
            expected[i, j] = radius * np.cos(angle), radius * np.sin(angle)
    grid = plots.polar_latent_grid()
    assert grid.dtype == "float32"
    np.testing.assert_allclose(grid, expected.reshape(480, 2), atol=1e-5)
    for bad in ({"radii": 0}, {"angles": 0}, {"smallest": -1}, {"smallest": 5, "largest": 4}):
        with pytest.raises(ValueError, match="0 <= smallest <= largest"):
            plots.polar_latent_grid(**bad)


def test_gaussian_grid_is_at_the_quantiles():
    grid = plots.gaussian_latent_grid(5).reshape(5, 5, 2)
    quantiles = norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(grid[..., 0], np.broadcast_to(quantiles, (5, 5)), atol=1e-6)
    np.testing.assert_allclose(grid[..., 1], np.broadcast_to(quantiles[::-1, None], (5, 5)), atol=1e-6)
    with pytest.raises(ValueError, match="side >= 1"):
        plots.gaussian_latent_grid(0)


def test_maps_put_each_image_at_its_vector():
    number = np.arange(12).reshape(12, 1, 1, 1) / 12  # images of one pixel, told apart by their grey
    sheet = sheet_of(plots.latent_map(number, rows=3))[::2, ::2]
    np.testing.assert_allclose(sheet, number.reshape(3, 4), atol=1e-6)
    figure = plots.polar_latent_map(number, radii=3, smallest=1, largest=2)  # 4 angles
    np.testing.assert_allclose(sheet_of(figure)[::2, ::2], number.reshape(3, 4).T, atol=1e-6)
    assert texts(figure.axes[0].get_yticklabels()) == ["0°", "90°", "180°", "270°"]
    assert texts(figure.axes[0].get_xticklabels()) == ["r = 1", "1.5", "2"]
    for draw in (lambda: plots.latent_map(number, rows=5), lambda: plots.polar_latent_map(number)):
        with pytest.raises(ValueError, match="that fill [58] rows"):
            draw()
