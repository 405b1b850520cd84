"""A classical source finder on a field of SDC1, tuned on the training area, judged outside of it.

pip install sep
python -c "from astrokeras import datasets; datasets.simulated_continuum_field('field.fits', 4096, seed=0)"
python benchmarks/classical_finder.py --field field.fits --truth field_truth.txt \
    --primary-beam field_primary_beam.fits [--out classical.json]

The finder is sep, SExtractor's code as a library: background and noise by meshes, threshold on the filtered image,
deblending, moments inside the isophote. Each of three filters gets its own best settings: none; the beam, the matched
filter of white noise; and the beam over the power spectrum of the noise, which the beam itself correlates, and of the
crowd of faint sources, kept from diverging by a constant. Everything else is chosen by the official score of the
training area: threshold, least area, contrast of deblending, how the flux is measured, calibration of fluxes (a
factor, and less for the faint, which noise has lifted) and sizes, least sizes, and the cut in peak or flux. Fluxes are
divided by the primary beam, the beam is taken out of the sizes; the submission has size 2, class 3 and core fraction 0
throughout. The finder's own code runs on one core.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
import sep
from machine import machine, write

from astrokeras import datasets, survey
from astrokeras.datasets.fits_blocks import FitsWindows
from astrokeras.datasets.sdc1 import training_window

SIGMA = 1 / np.sqrt(8 * np.log(2))  # of a Gaussian, per full width at half maximum
BLOCK, MARGIN = 4096, 64  # pixels: the image is searched in such squares, with so much more around
BRIGHTEST = 0.95  # of the peak: a threshold nearer to it says nothing of the shape
FILTERS = {
    "none": (1.75, 2.0, 2.25, 2.5, 3.0),
    "beam": (1.0, 1.25, 1.5, 2.0),
    "beam / noise": (0.75, 1.0, 1.25),
}  # thresholds to try, in sigma of white noise
AREAS, CONTRASTS, REGULAR = (1, 3, 5), (1e-4, 1e-3), (0.1, 0.2)
START = {
    "flux": "isophotal",
    "flux_scale": 0.9,
    "deboost": 0.5,
    "size_scale": 0.7,
    "least_major": 0.5,
    "least_minor": 0.3,
}
CALIBRATION = {
    "flux": ("isophotal", "auto", "aperture", "peak"),
    "flux_scale": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.3),
    "deboost": (0.0, 0.5, 1.0, 1.5, 2.0),  # of fluxes that the noise has lifted above the threshold
    "size_scale": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2),
    "least_major": (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9),  # arcsec
    "least_minor": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
}


class Finder:
    """sep on one field, with what has to be known of it."""

    def __init__(self, field: str, truth: str, primary_beam: str):
        sep.set_extract_pixstack(10_000_000)
        self.image, self.primary_beam = survey.open_image(field), primary_beam
        table = datasets.sdc1_catalogue(truth)
        self.truth = {name: np.asarray(table[name]) for name in table.colnames}
        judged = survey.sdc1_score(self.truth, self.truth, area="train").truth_judged
        self.training_truth = {name: values[judged] for name, values in self.truth.items()}  # for tuning: fewer rows
        self.pixel = 3600 * abs(FitsWindows(field).header["CDELT1"])  # arcsec
        self.sigma = 3600 * self.image.beam.major / self.pixel * SIGMA  # of the beam, pixels
        self.training = training_window(FitsWindows(field))

    def kernel(self, name: str, regular: float) -> np.ndarray | None:
        """Return the filter, of sum 1."""
        if name == "none":
            return None
        half = int(np.ceil(3 * self.sigma)) if name == "beam" else 7
        y = np.fft.fftfreq(64)
        beam = np.exp(-2 * (np.pi * self.sigma) ** 2 * (y[:, None] ** 2 + y**2))
        values = beam if name == "beam" else beam / (beam**2 + regular)
        kernel = np.fft.fftshift(np.fft.ifft2(values).real)[32 - half : 33 + half, 32 - half : 33 + half]
        return kernel / kernel.sum()

    def extract(self, window, settings: dict) -> dict[str, np.ndarray]:
        """Return position, variances along both axes, angle, peak over noise, and fluxes of what is found."""
        (bottom, top), (left, right) = window
        wide = [(bottom - MARGIN, top + MARGIN), (left - MARGIN, right + MARGIN)]
        wide = [(max(low, 0), min(high, size)) for (low, high), size in zip(wide, self.image.shape, strict=True)]
        pixels = np.ascontiguousarray(np.nan_to_num(self.image.read(wide)))
        background = sep.Background(pixels, bw=64, bh=64)
        pixels -= background.back()
        found = sep.extract(
            pixels,
            settings["threshold"],
            err=background.globalrms,
            minarea=settings["area"],
            filter_kernel=self.kernel(settings["filter"], settings["regular"]),
            deblend_cont=settings["contrast"],
        )
        # What a Gaussian's isophote at a share of its peak holds of its flux, and of its variance.
        share = np.clip(found["thresh"] / found["cpeak"], 1e-3, BRIGHTEST)
        narrow = (1 - share * (1 - np.log(share))) / (1 - share)
        major, minor = (np.maximum(found[axis], 0.3) ** 2 / narrow for axis in "ab")
        place = found["x"], found["y"]
        shape = *(np.maximum(found[axis], 0.3) for axis in "ab"), found["theta"].clip(-np.pi / 2, np.pi / 2)
        radius, _ = sep.kron_radius(pixels, *place, *shape, 6.0)
        auto, _, _ = sep.sum_ellipse(pixels, *place, *shape, 2.5 * np.nan_to_num(radius, nan=1.4).clip(1.4, 3.0))
        inner = 2 * self.sigma
        aperture, _, _ = sep.sum_circle(pixels, *place, inner)
        beam = 2 * np.pi * self.sigma**2  # pixels that the beam covers
        around = np.maximum(np.sqrt(major * minor), self.sigma**2)
        columns = {
            "x": found["x"] + wide[1][0],
            "y": found["y"] + wide[0][0],
            "major": major,
            "minor": minor,
            "angle": found["theta"],
            "peak": found["cpeak"] / background.globalrms,
            "isophotal": found["flux"] / (1 - share) / beam,
            "auto": auto / beam,
            "aperture": aperture / beam / -np.expm1(-(inner**2) / 2 / around),
            "peak flux": found["peak"] * around / self.sigma**2,
        }
        inside = (columns["y"] >= bottom - 0.5) & (columns["y"] < top - 0.5)
        inside &= (columns["x"] >= left - 0.5) & (columns["x"] < right - 0.5)
        inside &= np.all([np.isfinite(values) for values in columns.values()], axis=0)
        columns = {name: values[inside] for name, values in columns.items()}
        sky = survey.pixel_to_sky(self.image.wcs, np.stack([columns["x"], columns["y"]], axis=1))
        return columns | sky | {"response": datasets.primary_beam_at(self.primary_beam, sky["ra"], sky["dec"])}

    def submission(self, found: dict, settings: dict) -> dict[str, np.ndarray]:
        """Return the challenge's columns."""
        flux = found["peak flux" if settings["flux"] == "peak" else settings["flux"]] * settings["flux_scale"]
        flux *= (1 - settings["deboost"] / found["peak"]).clip(0.1)
        scale = settings["size_scale"] / SIGMA * self.pixel
        sizes = [scale * np.sqrt(np.maximum(found[axis] - self.sigma**2, 0)) for axis in ("major", "minor")]
        ones = np.ones(len(flux))
        return {
            "id": np.arange(len(flux)),
            **{name + end: found[name] for end in ("_core", "_cent") for name in ("ra", "dec")},
            "flux": np.divide(
                flux, found["response"], out=np.full(len(flux), np.nan), where=(found["response"] > 0) & (flux > 0)
            ),
            "core_frac": 0 * ones,
            "b_maj": np.maximum(sizes[0], settings["least_major"]),
            "b_min": np.maximum(sizes[1], settings["least_minor"]),
            "pa": np.mod(-np.rad2deg(found["angle"]), 180),  # clockwise from +x
            "size": 2 * ones,
            "class": 3 * ones,
        }

    def tuned(self, found: dict, settings: dict) -> dict:
        """Return the settings with the cut, in peak over noise or in flux, that scores best in the training area."""
        catalogue = self.submission(found, settings)
        gains = survey.sdc1_score(catalogue, self.training_truth, area="train").gains
        best = {"score": -np.inf}
        for cut_by in ("peak", "flux"):
            values = np.nan_to_num(found["peak"] if cut_by == "peak" else catalogue["flux"])
            order = np.argsort(-values, kind="stable")
            total = np.cumsum(gains[order])
            if total.max() > best["score"]:
                place = int(total.argmax())
                best = {"score": float(total[place]), "cut_by": cut_by, "cut": float(values[order[place]])}
        return settings | best

    def tune(self, name: str) -> dict:
        """Return the settings of a filter that score best in the training area."""
        regular = REGULAR if name == "beam / noise" else (0.0,)
        best, kept = None, {}
        coarse = itertools.product(regular, FILTERS[name], AREAS[:1], CONTRASTS[:1])
        for keys in coarse:
            best, kept = self._better(name, keys, START, best, kept)
        best = self._calibrated(kept, best)
        keys = best["regular"], best["threshold"], best["area"], best["contrast"]
        trials = [(keys[0], keys[1], area, contrast) for area, contrast in itertools.product(AREAS, CONTRASTS)]
        trials += [(some, threshold, keys[2], keys[3]) for some in regular for threshold in FILTERS[name]]
        calibration = {key: best[key] for key in START}
        for keys in trials:  # again, now that fluxes and sizes are calibrated
            best, kept = self._better(name, keys, calibration, best, kept)
        return self._calibrated(kept, best)

    def _better(self, name: str, keys: tuple, calibration: dict, best: dict | None, kept: dict) -> tuple[dict, dict]:
        settings = {"filter": name, **dict(zip(("regular", "threshold", "area", "contrast"), keys, strict=True))}
        found = self.extract(self.training, settings)
        trial = self.tuned(found, settings | calibration)
        return (trial, found) if best is None or trial["score"] > best["score"] else (best, kept)

    def _calibrated(self, found: dict, best: dict) -> dict:
        """Try the values of one setting after the other, twice."""
        for _ in range(2):
            for together in (("flux", "flux_scale"), ("flux_scale", "deboost")):
                for values in itertools.product(*(CALIBRATION[name] for name in together)):
                    trial = self.tuned(found, best | dict(zip(together, values, strict=True)))
                    best = trial if trial["score"] > best["score"] else best
            for name in ("size_scale", "least_major", "least_minor"):
                for value in CALIBRATION[name]:
                    trial = self.tuned(found, best | {name: value})
                    best = trial if trial["score"] > best["score"] else best
        return best

    def scan(self, settings: dict) -> dict[str, np.ndarray]:
        """Return the submission for the whole image."""
        edges = [[(low, min(low + BLOCK, size)) for low in range(0, size, BLOCK)] for size in self.image.shape]
        parts = [self.extract(window, settings) for window in itertools.product(*edges)]
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        catalogue = self.submission(found, settings)
        kept = (found["peak"] if settings["cut_by"] == "peak" else catalogue["flux"]) >= settings["cut"]
        return {name: values[kept] for name, values in catalogue.items()}


def judged(finder: Finder, name: str) -> dict:
    """Tune, scan and score; return settings and scores."""
    begun = time.perf_counter()
    settings = finder.tune(name)
    tuned = time.perf_counter()
    catalogue = finder.scan(settings)
    scanned = time.perf_counter()
    answer = {"settings": settings, "tuning_seconds": tuned - begun, "scan_seconds": scanned - tuned}
    for area, protocol in itertools.product(("train", "test"), ("official", "physical")):
        score = survey.sdc1_score(catalogue, finder.truth, area=area, protocol=protocol)
        numbers = ("score", "n_detections", "n_match", "n_truth", "purity", "completeness", "accuracy")
        answer[f"{area} {protocol}"] = {key: float(getattr(score, key)) for key in numbers} | score.accuracies
    return answer


def table(answers: dict[str, dict]) -> str:
    """Return the tables of the report."""
    rows = ["| filter | area | protocol | score | detections | matches | purity | completeness |"]
    rows += ["| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    parts = ("position", "flux", "b_maj", "b_min", "pa", "core_frac", "class")
    accuracy = ["| filter | protocol | " + " | ".join(parts) + " |", "| --- | --- |" + " ---: |" * len(parts)]
    for name, answer in answers.items():
        for area, protocol in itertools.product(("train", "test"), ("official", "physical")):
            found = answer[f"{area} {protocol}"]
            counts = f"{found['n_detections']:.0f} | {found['n_match']:.0f}"
            shares = f"{found['purity']:.4f} | {found['completeness']:.4f}"
            rows.append(f"| {name} | {area} | {protocol} | {found['score']:.1f} | {counts} | {shares} |")
            if area == "test":
                accuracy.append(f"| {name} | {protocol} | " + " | ".join(f"{found[part]:.3f}" for part in parts) + " |")
    lines = ["", "Mean points of a match, outside of the training area:", "", *accuracy, "", "Chosen:", ""]
    for name, answer in answers.items():
        shown = ", ".join(
            f"{key} {value if isinstance(value, str) else f'{value:.3g}'}"
            for key, value in answer["settings"].items()
            if key not in ("filter", "score")
        )
        seconds = f"{answer['tuning_seconds']:.0f} s of tuning, {answer['scan_seconds']:.0f} s for the whole image"
        lines.append(f"- {name}: {shown}; {seconds}")
    return "\n".join(rows + lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--field", required=True)
    parser.add_argument("--truth", required=True)
    parser.add_argument("--primary-beam", required=True)
    parser.add_argument("--filters", nargs="*", choices=list(FILTERS), default=list(FILTERS))
    parser.add_argument("--out", type=Path, help="JSON file; without it, a dated table in results/")
    options = parser.parse_args()
    finder = Finder(options.field, options.truth, options.primary_beam)
    answers = {}
    for name in options.filters:
        answers[name] = judged(finder, name)
        print(f"{name}: {answers[name]['test official']['score']:.1f}", flush=True)
    title = f"A classical finder (sep {sep.__version__}) on {Path(options.field).name}"
    command = "python benchmarks/classical_finder.py --field FITS --truth TXT --primary-beam FITS"
    if options.out:
        facts = {"title": title, "command": command, "machine": machine(), "finders": answers}
        options.out.write_text(json.dumps(facts, indent=1))
        print(table(answers))
    else:
        print(write("classical-finder", title, command, table(answers)).read_text())


if __name__ == "__main__":
    main()
