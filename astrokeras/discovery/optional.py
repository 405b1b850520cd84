"""Packages that only this room needs, with a sentence that tells how to get them."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Import optional packages; where one is missing, say which extra brings it.

    Args:
        name: of the extra.

    Raises:
        ImportError: if the block cannot import what it wants.

    Example:
        >>> from astrokeras.discovery.optional import extra
        >>> with extra("discovery"):
        ...     import a_package_that_is_not_there
        Traceback (most recent call last):
        ImportError: Expected the package a_package_that_is_not_there: pip install "astrokeras[discovery]".
    """
    try:
        yield
    except ImportError as error:
        missing = (error.name or str(error)).partition(".")[0]
        raise ImportError(f'Expected the package {missing}: pip install "astrokeras[{name}]".') from error
