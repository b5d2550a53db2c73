"""The version of this package, which stands in pyproject.toml and nowhere else."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("nstlab")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "unknown"
