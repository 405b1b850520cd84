"""Save a model with a card that tells where it comes from; load it with errors that tell what is wrong."""

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import keras

from astrokeras import runtime
from astrokeras.whole_file import replacing

CARD = "astrokeras.json"


def save_model(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    command: str = "",
    data: str = "",
    metrics: dict[str, float] | None = None,
    names: Sequence[str] | None = None,
    kind: str | None = None,
) -> Path:
    """Save a model as `.keras` with a small metadata card; nothing half-written is ever left.

    The file is an ordinary Keras file: `keras.models.load_model` opens it after `import astrokeras`. The
    card is one more member of the archive, `astrokeras.json`, with the versions of the libraries.

    Args:
        model: any Keras model.
        path: where to write; must end in `.keras`.
        command: how the model was made.
        data: what it was trained on.
        metrics: name -> value, as measured.
        names: of the classes (labels, outputs), which `astrokeras predict` then prints.
        kind: what it predicts: `"classes"`, `"labels"`, `"values"` or `"votes"`.

    Returns:
        The path.

    Raises:
        ValueError: if the path does not end in `.keras`.
        FileNotFoundError: if its folder does not exist.

    Example:
        >>> import tempfile, astrokeras
        >>> model = astrokeras.applications.lenet5()
        >>> path = astrokeras.save_model(model, tempfile.mkdtemp() + "/m.keras", metrics={"accuracy": 0.1})
        >>> astrokeras.read_card(path)["metrics"]
        {'accuracy': 0.1}
    """
    path = check_path(path)
    card = {
        "versions": runtime.versions(),
        "backend": keras.config.backend(),
        "command": command,
        "data": data,
        "metrics": {name: float(value) for name, value in (metrics or {}).items()},
        "names": None if names is None else list(names),
        "kind": kind,
    }
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(CARD, json.dumps(card, indent=1))
    return path


def check_path(path: str | os.PathLike) -> Path:
    """Refuse a path where no model can be saved: call it before hours of training.

    Args:
        path: where a model is to go.

    Returns:
        The path.

    Raises:
        ValueError: if it does not end in `.keras`.
        FileNotFoundError: if its folder does not exist.

    Example:
        >>> from astrokeras import saving
        >>> saving.check_path("model.keras").name
        'model.keras'
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise ValueError(f"Expected a path that ends in .keras; received {str(path)!r}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"Expected the folder {path.parent} to exist, to write {path.name} in it: create it first."
        )
    return path


def read_card(path: str | os.PathLike) -> dict:
    """Read what a `.keras` file says of its origin.

    Args:
        path: a `.keras` file, with or without our card.

    Returns:
        A dict with `versions` (at least Keras's, which Keras itself records), `date`, and, where
        `save_model` wrote the file, `backend`, `command`, `data`, `metrics` and `names`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a Keras file.

    Example:
        >>> import tempfile, astrokeras
        >>> path = tempfile.mkdtemp() + "/m.keras"
        >>> astrokeras.applications.lenet5().save(path)
        >>> list(astrokeras.read_card(path)["versions"])
        ['keras']
    """
    return _read_archive(Path(path))[0]


def load_model(path: str | os.PathLike, compile: bool = True) -> keras.Model:
    """Load a `.keras` file, with Keras's safe mode on.

    A model that computes in mixed_float16 gets its loss scaling back as it was, dynamic, fixed or none,
    whatever the policy of the session is (`keras.models.load_model` drops dynamic scaling in a float32
    session, and refuses a fixed one in a session of mixed_float16).

    Args:
        path: a `.keras` file.
        compile: restore the loss, metrics and optimizer too, where the file has them.

    Returns:
        The model.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, is not a Keras file, or needs classes that are not there; the
            sentence names the versions recorded in the file.

    Example:
        >>> import tempfile, astrokeras
        >>> path = tempfile.mkdtemp() + "/m.keras"
        >>> astrokeras.applications.lenet5().save(path)
        >>> astrokeras.load_model(path).name
        'lenet5'
    """
    path = Path(path)
    card, config = _read_archive(path)
    policy = keras.config.dtype_policy()
    if '"mixed_float16"' in config:  # a functional model has the policy of the session that builds it
        keras.config.set_dtype_policy("mixed_float16" if _scales_its_loss(path) else "float32")
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:  # Keras raises many kinds; the user gets one sentence and the cause behind it
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        written = ", ".join(f"{name} {version}" for name, version in card["versions"].items())
        present = ", ".join(f"{name} {version}" for name, version in runtime.versions().items())
        raise ValueError(
            f"Could not rebuild the model of {path}, written with {written} (here: {present}): {reason[:300]} "
            "Import the package that defines its layers, or install the recorded versions."
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)


def _scales_its_loss(path: Path) -> bool:
    """Whether the optimizer of a model in float16 was wrapped; yes where the file has no optimizer."""
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as member, h5py.File(member) as file:
        return "inner_optimizer" in file.get("optimizer", ["inner_optimizer"])


def _read_archive(path: Path) -> tuple[dict, str]:
    if not path.is_file():
        raise FileNotFoundError(f"Expected a .keras file; there is none at {path}: check the path.")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"{damaged} is damaged")
            metadata = json.loads(archive.read("metadata.json"))
            config = archive.read("config.json").decode()
            archive.getinfo("model.weights.h5")
            card = json.loads(archive.read(CARD)) if CARD in archive.namelist() else {}
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"Expected a whole .keras file; {path} is damaged or of another kind "
            f"({error.args[0] if error.args else type(error).__name__}): copy or save it again."
        ) from error
    versions = {"keras": metadata.get("keras_version", "unknown")} | card.get("versions", {})
    return {"date": metadata.get("date_saved", "unknown")} | card | {"versions": versions}, config
