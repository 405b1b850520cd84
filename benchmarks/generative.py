"""How good are the generative models that ship: Frechet distance, precision and recall, digits, nearest images.

python benchmarks/generative.py mnist.npz [--samples 2000] [--ancestral 1000] [--scratch FOLDER] [--figures FOLDER]

Images of the shipped weights "mnist" (trained on the 60 000 training images) are judged on features of the shipped
LeNet-5 against the 10 000 test images; as many training images, and samples of a normal distribution over 64 principal
components, stand beside them. Ancestral samples are kept in the scratch folder, 125 by 125, so that a stopped run goes
on. `--sample-only` makes these and judges nothing; `--temperatures 1 0.95 0.92` judges 1000 images of DDIM at each of
these against 5000 training images, which is how `TEMPERATURE` was chosen.
"""

import argparse
from pathlib import Path

import numpy as np

import astrokeras
from astrokeras import applications, judging, metrics, plots
from astrokeras.models import PrincipalComponents

PART = 125  # images of one call of the ancestral sampler
TEMPERATURE = 0.92  # of DDIM, see `temperatures`
MODELS = ("variational_autoencoder", "gan", "ddpm")


def ancestral(count: int, scratch: Path) -> np.ndarray:
    """Make images by all 1000 steps, or read those that are made already."""
    model, parts = None, []
    for index in range(-(-count // PART)):
        path = scratch / f"ancestral_{index}.npy"
        if not path.exists():
            model = applications.ddpm(weights="mnist") if model is None else model
            unfinished = path.with_suffix(".part.npy")
            np.save(unfinished, model.generate(PART, seed=1000 + index, batch_size=PART))
            unfinished.rename(path)
            print(f"{PART * (index + 1)} ancestral samples", flush=True)
        parts.append(np.load(path))
    return np.concatenate(parts)[:count]


def table(sets: dict[str, np.ndarray], test: np.ndarray) -> str:
    """Return a row for each set of images."""
    rows = ["| images | count | Frechet | precision | recall | confidence | share of each digit, 0 to 9 (%) |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for name, images in sets.items():
        found = judging.judge_generated(images, test)
        shares = " ".join(f"{100 * share:.0f}" for share in found.shares)
        rows.append(
            f"| {name} | {found.count} | {found.frechet:.1f} | {found.precision:.1%} | {found.recall:.1%} | "
            f"{found.confidence:.1%} | {shares} |"
        )
        print(rows[-1], flush=True)
    return "\n".join(rows)


def temperatures(values: list[float], train: np.ndarray) -> None:
    """Print how good images of DDIM are at some temperatures, by the training images alone."""
    model, real = applications.ddpm(weights="mnist"), train[np.random.default_rng(5).permutation(len(train))[:5000]]
    for value in values:
        images = model.generate(1000, seed=1, sampler="ddim", temperature=value, batch_size=PART)
        brightness = images.mean() / real.mean()
        print(f"{value}: {judging.judge_generated(images, real).describe()}; brightness {brightness:.3f}", flush=True)


def figures(sets: dict[str, np.ndarray], train: np.ndarray, folder: Path) -> None:
    """Draw samples of each model, the training images nearest to those of the last, and how noise becomes images."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        plots.sample_grid(sets[name][:64]).savefig(folder / f"{name}_mnist.png", dpi=70)
    indices, _ = metrics.nearest_images(sets["ddpm"][:6], train, 10)
    plots.nearest_images(sets["ddpm"][:6], train, indices).savefig(folder / "ddpm_mnist_nearest.png", dpi=70)
    chains = applications.ddpm(weights="mnist").chain(6, seed=3, frames=11, sampler="ddim", steps=100)
    plots.image_chain(chains.clip(0, 1)).savefig(folder / "ddpm_mnist_chain.png", dpi=70)


def latent_figures(train: np.ndarray, test: np.ndarray, labels: np.ndarray, folder: Path) -> None:
    """Draw the latent spaces: where test images lie, what stands at each place, and what is rebuilt; PCA beside."""
    folder.mkdir(parents=True, exist_ok=True)
    model, pca = applications.autoencoder(weights="mnist"), PrincipalComponents(train, 2)
    latent = model.encoder.predict(test, verbose=0)
    radii = {"smallest": 1.0, "largest": round(float(np.quantile(np.hypot(*latent.T), 0.9)))}
    grid = model.decoder.predict(plots.polar_latent_grid(8, 60, **radii), verbose=0)
    generative = applications.variational_autoencoder(weights="mnist")
    codes = generative.encode(test)
    twos = codes[labels == 2]
    plane = np.repeat(twos[[np.square(twos - twos.mean(axis=0)).sum(axis=1).argmin()]], 400, axis=0)
    plane[:, [0, 5]] = plots.gaussian_latent_grid(20)  # the two that tell most
    rows = {
        "given": test[:12],
        "auto-encoder": model.predict(test[:12], verbose=0),
        "2 components": pca.decode(pca.encode(test[:12])).clip(0, 1),
        "variational, 8": generative.decoder.predict(generative.encode(test[:12]), verbose=0),
    }
    drawn = {
        "autoencoder_mnist_latent": plots.latent_scatter(latent, labels, title="Auto-encoder, 2 latent variables"),
        "pca_mnist_latent": plots.latent_scatter(pca.encode(test), labels, title="2 principal components"),
        "autoencoder_mnist_polar": plots.polar_latent_map(grid, 8, **radii),
        "variational_autoencoder_mnist_plane": plots.latent_map(generative.decoder.predict(plane, verbose=0)),
        "autoencoder_mnist_rebuilt": plots.image_rows(list(rows.values()), list(rows)),
    }
    drawn["pca_mnist_latent"].axes[0].set(xlabel="first component", ylabel="second component")
    drawn["variational_autoencoder_mnist_plane"].axes[0].set(
        xlabel="latent 1 \N{RIGHTWARDS ARROW}", ylabel="latent 6 \N{RIGHTWARDS ARROW}"
    )
    for name, figure in drawn.items():
        figure.savefig(folder / f"{name}.png", dpi=70)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="mnist.npz")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--ancestral", type=int, default=1000, help="samples of 1000 steps")
    parser.add_argument("--scratch", type=Path, default=Path("generative"))
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--sample-only", action="store_true")
    parser.add_argument("--temperatures", type=float, nargs="+")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    count = options.samples
    (train, _), (test, labels) = astrokeras.datasets.mnist(options.data)
    train, test = train.astype("float32") / 255, test.astype("float32") / 255
    if options.temperatures:
        return temperatures(options.temperatures, train)
    steps = ancestral(options.ancestral, options.scratch)
    if options.sample_only:
        return
    random = np.random.default_rng(0)
    some = train[random.choice(len(train), count, replace=False)]
    sets = {
        "training images": some,
        "PCA-Gaussian, 64 components": PrincipalComponents(train, 64).generate(count, 0).clip(0, 1),
    }
    for name in MODELS:
        model = getattr(applications, name)(weights="mnist")
        sets[name] = model.generate(count, seed=0, **{"sampler": "ddim", "batch_size": PART} if name == "ddpm" else {})
    rows = {("ddpm, DDIM, 50 steps" if name == "ddpm" else name): images for name, images in sets.items()}
    sharper = model.generate(count, seed=0, sampler="ddim", temperature=TEMPERATURE, batch_size=PART)
    for label, images in (("", sets["ddpm"]), (f", temperature {TEMPERATURE}", sharper)):
        rows[f"ddpm, DDIM, 50 steps{label}"] = images
        rows[f"ddpm, DDIM{label}, the first {len(steps)}"] = images[: len(steps)]
    rows["ddpm, ancestral, 1000 steps"] = steps
    body = table(rows, test)
    rebuilt = applications.autoencoder(weights="mnist").predict(test, verbose=0)
    pca = PrincipalComponents(train, 2)
    error, plain = (np.mean((images - test) ** 2) for images in (rebuilt, pca.decode(pca.encode(test))))
    body += f"\n\nAuto-encoder with 2 latent variables, mean squared error of the test images: {error:.4f}; "
    body += f"2 principal components: {plain:.4f}."
    if options.figures:
        figures(sets, train, options.figures)
        latent_figures(train, test, labels, options.figures)
    from machine import write

    command = f"python benchmarks/generative.py mnist.npz --samples {count} --ancestral {len(steps)}"
    print(write("generative-mnist", "Generative models of MNIST", command, body).read_text())


if __name__ == "__main__":
    main()
