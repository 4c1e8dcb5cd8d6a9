"""podops: the engine behind the `ops` command and the app."""

from podops_runners import __version__

__all__ = ["__version__"]
