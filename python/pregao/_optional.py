"""The packages that are installed with extras. Each is imported when it is needed."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Returns a module. If its package is not installed, the error names the extra that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ImportError(
            f"{package} is not installed, and pregao needs it here: pip install 'pregao[{extra}]'", name=package
        ) from error
