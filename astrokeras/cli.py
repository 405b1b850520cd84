"""The `astrokeras` command line."""

import argparse
import ast
import shlex
import sys

import rich.console

from astrokeras import plots, training

CONSOLE = rich.console.Console()


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="astrokeras")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train")
    train.add_argument("name")
    train.add_argument("--data")
    train.add_argument("--epochs", type=int)
    train.add_argument("--batch-size", type=int)
    train.add_argument("--augment", action="store_true")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--precision", default="auto")
    train.add_argument("--set", action="append", default=[])
    train.add_argument("--out", default="model.keras")
    a = parser.parse_args(argv)
    arguments = {}
    for item in a.set:
        key, _, value = item.partition("=")
        arguments[key] = ast.literal_eval(value)
    result = training.train(
        a.name, a.data, epochs=a.epochs, batch_size=a.batch_size, augment=a.augment, seed=a.seed,
        precision=a.precision, out=a.out, arguments=arguments, command=shlex.join(["astrokeras", *argv]), verbose=2,
    )
    CONSOLE.print(plots.confusion_table(result.matrix))
    CONSOLE.print(f"accuracy {result.accuracy:.4f}, {result.seconds:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
