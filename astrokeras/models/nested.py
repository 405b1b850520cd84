"""Models that are compiled their own way, those made of named networks, and those whose loss is their own."""

import keras


class Recompiled(keras.Model):
    """A model with a `compile` of its own, which a file restores together with its loss scaling."""

    def get_compile_config(self):
        """Return what `compile` was called with."""
        config = super().get_compile_config()
        return config and config | {"auto_scale_loss": isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)}

    def compile_from_config(self, config):
        """Compile as the file says, with the optimizer's state to come."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)


class Nested(Recompiled):
    """A functional model with networks among its arguments, saved by their configs.

    A class names these arguments in `networks` and keeps each as an attribute of that name.
    """

    networks: tuple[str, ...] = ()

    def get_config(self):
        """Return the networks, the name and the precision; a class adds its other arguments."""
        parts = {name: getattr(self, name) for name in self.networks}
        config = {name: None if part is None else part.get_config() for name, part in parts.items()}
        return config | {"name": self.name, "dtype": keras.saving.serialize_keras_object(self.dtype_policy)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the model of such a config."""
        config = dict(config)
        for name in cls.networks:
            if config.get(name) is not None:
                config[name] = keras.Model.from_config(config[name], custom_objects=custom_objects)
        policy = config.pop("dtype", None)
        model = cls(**config)
        if policy is not None:
            model.dtype_policy = keras.saving.deserialize_keras_object(policy)
        return model


class OwnLoss(Nested):
    """Such a model that computes its loss itself."""

    def compile(self, optimizer="adam", loss=None, **kwargs):
        """Choose the optimizer, as `keras.Model.compile` does; the loss is the model's own."""
        if loss is not None:
            raise ValueError(f"{self.name}: expected compile(optimizer) without a loss; received loss={loss!r}.")
        super().compile(optimizer=optimizer, **kwargs)
