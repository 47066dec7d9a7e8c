"""TensorBoard logs of a fine-tuning, where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinat_compile.errors import extra_needed


class Log:
    """Scalars by step in an event file that TensorBoard reads; nothing at all without a ``folder``."""

    def __init__(self, folder: Path | None) -> None:
        self.writer: Any = None
        if folder is None:
            return
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise extra_needed("a TensorBoard log", "tensorboardX", "tensorboard") from None
        self.writer = SummaryWriter(str(folder))

    def scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        """Write what is known of ``values`` at ``step``."""
        if self.writer is not None:
            for name, value in values.items():
                if value is not None:
                    self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
