"""Training by CIANNA's rules, compiled by Keras."""

import contextlib
import math
import time
from pathlib import Path

import keras
import numpy as np

from astrokeras.cianna import state
from astrokeras.cianna.datasets import Dataset, filled
from astrokeras.cianna.displays import ProgressLine
from astrokeras.cianna.evaluation import run
from astrokeras.cianna.losses import SoftmaxError, SquaredError, before_softmax
from astrokeras.cianna.optimizers import copy_values, make_optimizer, optimizer_settings, places, set_rules
from astrokeras.cianna.results import forget_losses
from astrokeras.cianna.targets import target_converter
from astrokeras.cianna_files import Norm, write
from astrokeras.models import YoloDetector

MEMORY = 2**28  # bytes of images that are put in order at a time
STEPS = 16  # steps of one call, on TensorFlow


def train(
    nb_iter: int,
    learning_rate: float,
    end_learning_rate: float = 0.0,
    control_interv: int = 1,
    momentum: float = 0.0,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    confmat: int = 0,
    save_every: int = 0,
    save_bin: int = 0,
    network: int | None = None,
    shuffle_gpu: int = 1,
    shuffle_every: int = 1,
    TC_scale_factor: float = 1.0,
    silent: int = 0,
    *,
    decoupled_wdecay: int = 0,
    wema_rate: float = -1.0,
    wema_replace_every: int = 0,
) -> None:
    """Train a network on its set TRAIN: CIANNA's `train`.

    Iteration i = 0, 1, ... (all calls count, and `load` sets it) has the learning rate
    `end_learning_rate + (learning_rate - end_learning_rate) * exp(-lr_decay * i)`. A step sums the gradient over the
    images of the batch, divides it by the batch size (also where the last batch has fewer images), and changes each
    weight w by `u <- momentum * u + rate * gradient + rate * weight_decay * w`, `w <- w - u`; gamma and beta of `norm`
    have no weight decay.

    Args:
        nb_iter: passes over TRAIN; each takes the set that is in place when it begins.
        learning_rate: at iteration 0.
        end_learning_rate: after many.
        control_interv: after every so many iterations the loss on VALID is printed and noted in `error.txt`; 0: never.
        momentum: see above.
        lr_decay: see above.
        weight_decay: see above.
        confmat: confusion matrix of VALID: 1 all of it, 2 recall, precision and accuracy, 3 accuracy, 0 none.
        save_every: save `net_save/net<network>_s<iteration, 4 digits>.dat` after every so many iterations; 0 for never.
        save_bin: 1 saves the binary form, 0 text.
        network: number of the network; the last one where it is not given.
        shuffle_gpu: has no effect.
        shuffle_every: shuffle TRAIN before every so many iterations; 0 for never.
        TC_scale_factor: first scale of the loss in mixed_float16, where Keras then finds the best one.
        silent: 1 prints nothing but saves.
        decoupled_wdecay: weight decay bypasses the momentum.
        wema_rate: of the moving average of the weights, with `wema=1` of `init`: then VALID, `forward` and files have
            the averages.
        wema_replace_every: after every so many iterations the averages become the weights.

    Raises:
        ValueError: if a set is missing, the outputs do not fit `out_dim`, or the loss is no number.

    Example:
        >>> import numpy as np
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4], 1, 3, network=0, no_logo=1)
        network 0: input 4x1x1, 1 channel; targets of 3; batch of 8; float32
        >>> cnn.dense(3, activation="SMAX")
        layer 1: dense 3 neurons, SMAX, bias 0.1: 3, 20 weights
        0
        >>> cnn.create_dataset("TRAIN", 16, np.ones((16, 4)), np.eye(3)[[1] * 16], silent=1)
        >>> cnn.train(2, 0.1, control_interv=0, silent=1)
    """
    net = state.find(network)
    if net.inference_only:
        print(f"network {net.number} was initialised for inference only: call init with inference_only=0 to train it")
        return
    filled(net, "TRAIN", "for train")
    if control_interv > 0:
        filled(net, "VALID", f"for the control of every {control_interv} iterations (0 for none)")
    kind, numbers = optimizer_settings(net.optimizer)
    if net.trainer is None:
        net.trainer = Trainer(net)
    trainer = net.trainer
    rules = {"decay": float(weight_decay), "decoupled": bool(decoupled_wdecay)}
    if kind == "SGD":
        rules["momentum"] = float(momentum) if momentum > 0 else numbers["mom"]
    if net.averaged and wema_rate >= 0:
        rules["average_rate"] = float(wema_rate)
    trainer.prepare(rules, TC_scale_factor)
    if net.iteration == 0:
        forget_losses()
    for _ in range(nb_iter):
        rate = end_learning_rate + (learning_rate - end_learning_rate) * math.exp(-lr_decay * net.iteration)
        net.iteration += 1
        dataset = filled(net, "TRAIN", "for train")
        if shuffle_every > 0 and (net.iteration + 1) % shuffle_every == 0 and not net.draws:
            dataset.shuffle(net.rng)
        start = time.perf_counter()
        loss = trainer.iterate(dataset, rate, silent=silent >= 1)
        trainer.rate = len(dataset) / (time.perf_counter() - start)
        if wema_replace_every > 0 and net.iteration % wema_replace_every == 0:
            trainer.take_averages()
        if control_interv > 0 and net.iteration % control_interv == 0:
            if silent < 1:
                print(
                    f"{'':14}Average Training perf: {trainer.rate:.2f} it/s | Mean Loss: {loss:.5g} | Learning rate: "
                    f"{rate:.5g} | Momentum: {rules.get('momentum', 0.0):.5g} | Weight decay: {weight_decay:.5g}"
                )
            with trainer.averages():
                run(net, filled(net, "VALID", "for the control"), confmat=confmat, silent=silent == 1)
        if save_every > 0 and net.iteration % save_every == 0:
            print(f"Saving network for iteration: {net.iteration} (mode: {save_bin})")
            folder = Path("net_save")
            folder.mkdir(exist_ok=True)
            path = folder / f"net{net.number}_s{net.iteration:04d}.dat"
            write(path, net.current_records(), binary=bool(save_bin))


class Trainer:
    """The compiled training of a network.

    Args:
        net: the network; its model is built.

    Attributes:
        optimizer: as `optimizers.make_optimizer` returns it; `None` makes another one with the next `prepare`.
        rate: images per second of the last iteration.
    """

    def __init__(self, net: state.NetworkState):
        self.net, self.model = net, net.built()
        self.optimizer, self.rate = None, 0.0
        self.detector = isinstance(self.model, YoloDetector)
        self.trained = self.model
        last = net.records.layers[-1]
        if any(layer.activation in ("SMAX", "YOLO") for layer in net.records.layers[:-1]):
            raise ValueError("Expected SMAX and YOLO in the last layer only, since CIANNA trains no others.")
        self.softmax = last.activation == "SMAX"
        if self.softmax:
            self.trained = before_softmax(self.model)
        self.convert = target_converter(net)

    def prepare(self, rules: dict, scale: float) -> None:
        """Compile, where rules or frozen layers are not those of the last time."""
        net, made, variables = self.net, self.optimizer is None, self.trained.trainable_variables
        if made:
            self.optimizer = make_optimizer(net.optimizer, variables, net.averaged)
        frozen, norms = [], []
        for record, flag, group in zip(net.records.layers, net.frozen, layers_of(net).values(), strict=True):
            frozen += group * bool(flag)
            norms += group * isinstance(record, Norm)
        rules = rules | {"frozen": places(frozen, variables), "undecayed": places(norms, variables)}
        changed = set_rules(self.optimizer, **rules)
        if made:
            optimizer = self.optimizer
            if net.precision == "mixed_float16":
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=max(1.0, scale))
            loss = {} if self.detector else {"loss": SoftmaxError() if self.softmax else SquaredError()}
            steps = STEPS if keras.config.backend() == "tensorflow" else 1
            self.trained.compile(optimizer, auto_scale_loss=False, steps_per_execution=steps, **loss)
        elif changed:
            self.trained.make_train_function(force=True)

    def iterate(self, dataset: Dataset, rate: float, silent: bool) -> float:
        """Pass once over a set; return the mean loss."""
        net, size = self.net, self.net.batch_size
        targets = dataset.converted(self.convert, self.model)
        self.optimizer.learning_rate = rate
        if self.detector:
            self._count_images(len(dataset))
        shape, batches, total = self.model.input_shape[1:], -(-len(dataset) // size), 0.0
        with ProgressLine("Iter", net.iteration, batches, net.bar_width, silent) as line:
            for rows, weights in self._pieces(dataset):
                truth = {name: values[rows] for name, values in targets.items()} if self.detector else targets[rows]
                total += self._fit(dataset.images(rows, shape), truth, weights, line)
        return total / len(dataset)

    def _pieces(self, dataset: Dataset):
        """Yield rows of whole batches, as many as MEMORY holds, and weights that are 0 where a batch is filled up."""
        net, size = self.net, self.net.batch_size
        most = max(1, MEMORY // (size * dataset.inputs[0].nbytes))
        order = list(dataset.batches(size, net.rng if net.draws else None))
        for start in range(0, len(order), most):
            batches = order[start : start + most]
            rows = np.concatenate([rows for rows, _ in batches])
            filled_up = any(real < size for _, real in batches)
            weights = np.concatenate([np.arange(size) < real for _, real in batches]).astype("float32")
            yield rows, weights if filled_up else None

    def _fit(self, images, truth, weights, line: ProgressLine) -> float:
        """Train on whole batches; return the sum of the losses of their images."""
        size, batches, done, total = self.net.batch_size, len(images) // self.net.batch_size, 0, 0.0

        def advance(batch, logs):
            nonlocal done, total
            whole = logs["loss"] * size * (batch + 1)  # Keras tells the mean over the batches so far
            line.advance(size, (whole - total) / (size * (batch + 1 - done)), batch + 1 - done)
            done, total = batch + 1, whole

        watch = keras.callbacks.LambdaCallback(on_train_batch_end=advance)
        settings = {"batch_size": size, "shuffle": False, "verbose": 0, "callbacks": [watch]}
        history = keras.Model.fit(self.trained, images, truth, sample_weight=weights, **settings).history
        return history["loss"][-1] * size * batches

    def _count_images(self, count: int) -> None:
        """Tell the detector how many images it has seen: a random start covers whole iterations in CIANNA."""
        startup, done = self.model.settings.random_startup or 0, (self.net.iteration - 1) * count
        kept: dict = {}
        self.model.save_own_variables(kept)
        kept["images_seen"] = np.asarray(done if done + count <= startup else max(done, startup))
        self.model.load_own_variables(kept)

    @contextlib.contextmanager
    def averages(self):
        """Put the moving averages in the place of the weights, where they are kept."""
        if self.optimizer is None or not (self.optimizer.means and self.optimizer.average_rate):
            yield
            return
        variables = self.trained.trainable_variables
        weights = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
        self.take_averages()
        try:
            yield
        finally:
            copy_values(weights, variables)

    def take_averages(self) -> None:
        """Set the weights to their moving averages."""
        if self.optimizer.means:
            copy_values(self.optimizer.means, self.trained.trainable_variables)


def layers_of(net: state.NetworkState) -> dict[str, list[keras.layers.Layer]]:
    """Return the Keras layers of each layer of CIANNA: `conv1`, `conv1_bias`, ... belong to the first convolution."""
    groups: dict[str, list] = {}
    for layer in net.built().layers[1:]:
        if layer.name == "yolo":
            next(reversed(groups.values())).append(layer)
        else:
            groups.setdefault(layer.name.split("_")[0], []).append(layer)
    return groups
