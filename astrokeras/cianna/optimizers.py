"""How weights change: CIANNA's momentum rule, and the optimizers of its development version, which are Keras's."""

import re
from collections.abc import Iterable

import keras
import numpy as np
from keras import ops

from astrokeras.cianna import state

_KINDS = {"SGD": {"mom": 0.0}, "ADAM": {"b1": 0.9, "b2": 0.999, "eps": 1e-8, "ams": 0.0}}
_KINDS["RMSprop"] = {"a": 0.99, "mom": 0.0, "eps": 1e-8, "cent": 0.0}


def sgd(momentum: float = 0.0) -> str:
    """Return CIANNA's momentum rule for the `optimizer` of `init`; the momentum of `train` wins if it is given.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.sgd(0.9)
        'SGD_mom0.900000'
    """
    return f"SGD_mom{momentum:f}"


def adam(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, ams_grad: int = 0) -> str:
    """Return Adam for the `optimizer` of `init`.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.adam(beta1=0.8)
        'ADAM_b10.800000_b20.999000_eps1e-08_ams0'
    """
    return f"ADAM_b1{beta1:f}_b2{beta2:f}_eps{epsilon:g}_ams{ams_grad:d}"


def rms_prop(alpha: float = 0.99, momentum: float = 0.0, epsilon: float = 1e-8, centered: int = 0) -> str:
    """Return RMSprop for the `optimizer` of `init`.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.rms_prop(momentum=0.5)
        'RMSprop_a0.990000_mom0.500000_eps1e-08_cent0'
    """
    return f"RMSprop_a{alpha:f}_mom{momentum:f}_eps{epsilon:g}_cent{centered:d}"


def set_optimizer_param(param: str, network: int | None = None) -> None:
    """Change the numbers of the optimizer: `set_optimizer_param` of CIANNA's development version.

    Args:
        param: from `sgd`, `adam` or `rms_prop`, of the kind that `init` was given.
        network: number of the network; the last one where it is not given.

    Raises:
        ValueError: if it is of another kind.

    Example:
        >>> from astrokeras import cianna as cnn
        >>> cnn.init([4], 1, 3, network=0, no_logo=1, optimizer=cnn.sgd())
        network 0: input 4x1x1, 1 channel; targets of 3; batch of 8; float32
        >>> cnn.set_optimizer_param(cnn.sgd(momentum=0.9))
    """
    net = state.find(network)
    kind, before = optimizer_settings(param)[0], optimizer_settings(net.optimizer)[0]
    if kind != before:
        raise ValueError(f"Expected settings of {before}, which init was given; received {param!r}: call init again.")
    net.optimizer = param
    if net.trainer is not None:
        net.trainer.optimizer = None  # the next call of train makes another one


def optimizer_settings(text: str) -> tuple[str, dict[str, float]]:
    """Return the kind of an optimizer and its numbers, the defaults filled in."""
    kind, *parts = str(text).split("_")
    if kind not in _KINDS:
        raise ValueError(f"Expected an optimizer SGD, ADAM or RMSprop, from sgd, adam or rms_prop; received {text!r}.")
    values = dict(_KINDS[kind])
    for part in parts:
        name = next((name for name in values if part.startswith(name)), None)
        if name is None or not re.fullmatch(r"[-+.\deE]+", part[len(name) :]):
            raise ValueError(f"Expected settings {', '.join(values)} of {kind}; received {text!r}.")
        values[name] = float(part[len(name) :])
    return kind, values


class Rules:
    """What CIANNA does around the update of a weight, for any optimizer.

    Frozen weights stay. Weight decay is added to the gradient, so that it enters the momentum; or, decoupled, it
    shrinks the weight first. A moving average of the weights is kept where one is wanted.

    Attributes:
        frozen: places of weights that stay, in the list that `prepare` got.
        undecayed: places of weights without weight decay.
        decay: rate of the weight decay.
        decoupled: whether it bypasses the optimizer.
        average_rate: of the moving average.
    """

    frozen: frozenset[int] = frozenset()
    undecayed: frozenset[int] = frozenset()
    decay = 0.0
    decoupled = False
    average_rate = 0.0

    def prepare(self, variables: list, averaged: bool) -> None:
        """Make the optimizer's variables, and the averages, which begin at the weights."""
        self.build(variables)
        self.means = []
        if averaged:
            self.means = [self.add_variable_from_reference(variable, name="mean") for variable in variables]
            copy_values(variables, self.means)

    def update_step(self, gradient, variable, learning_rate):
        """Change one weight."""
        place = self._get_variable_index(variable)
        if place in self.frozen:
            return
        rate, gradient = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        if self.decay and place not in self.undecayed:
            if self.decoupled:
                self.assign(variable, variable * (1 - rate * self.decay))
            else:
                gradient = gradient + self.decay * variable
        super().update_step(gradient, variable, rate)
        if self.means and self.average_rate:
            mean = self.means[place]
            self.assign(mean, self.average_rate * mean + (1 - self.average_rate) * variable)


class _Momentum(keras.optimizers.Optimizer):
    """CIANNA's `u <- momentum * u + rate * gradient`, `w <- w - u`."""

    momentum = 0.0

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.updates = [self.add_variable_from_reference(variable, name="update") for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        update = self.updates[self._get_variable_index(variable)]
        step = self.momentum * update + learning_rate * gradient if self.momentum else learning_rate * gradient
        self.assign(update, step)
        self.assign_sub(variable, step)


class _Sgd(Rules, _Momentum):
    pass


class _Adam(Rules, keras.optimizers.Adam):
    pass


class _RmsProp(Rules, keras.optimizers.RMSprop):
    pass


def make_optimizer(settings: str, variables: list, averaged: bool):
    """Return the optimizer of these settings, built for these weights."""
    kind, values = optimizer_settings(settings)
    if kind == "SGD":
        optimizer = _Sgd(learning_rate=0.0, name="sgd")
    elif kind == "ADAM":
        optimizer = _Adam(0.0, values["b1"], values["b2"], values["eps"], amsgrad=bool(values["ams"]), name="adam")
    else:
        optimizer = _RmsProp(
            0.0, values["a"], values["mom"], values["eps"], centered=bool(values["cent"]), name="rmsprop"
        )
    optimizer.prepare(variables, averaged)
    return optimizer


def set_rules(optimizer, **rules) -> bool:
    """Set rules of an optimizer; return whether one changed, so that a compiled step must be made again."""
    changed = {name: value for name, value in rules.items() if getattr(optimizer, name) != value}
    for name, value in changed.items():
        setattr(optimizer, name, value)
    return bool(changed)


def copy_values(sources: list, targets: list) -> None:
    """Give variables the values of others, by way of the host: JAX must not see one buffer in two variables."""
    for source, target in zip(sources, targets, strict=True):
        target.assign(np.array(ops.convert_to_numpy(source)))


def places(layers: Iterable[keras.layers.Layer], variables: list) -> frozenset[int]:
    """Return where the weights of layers stand in a list of variables."""
    theirs = {id(variable) for layer in layers for variable in layer.trainable_weights}
    return frozenset(place for place, variable in enumerate(variables) if id(variable) in theirs)
