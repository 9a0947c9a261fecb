"""A fitted sequence model: what it sees, its weights, and what it says of a user.

In a folder it is two files, neither a pickle: `sequence.json` and, with the digest that the
former names, the arrays of `sequence.npz`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from runtime.errors import ModelError
from runtime.files import (
    digest_file,
    digest_of,
    digest_of_bytes,
    make_folder,
    write_atomic,
    write_json,
)
from training.metrics import Floats
from training.ragged import Ragged
from training.sequence_heads import Network

FORMAT = {"holdfast": "sequence model", "schema_version": 1}
ABOUT, WEIGHTS = "sequence.json", "sequence.npz"
Build = Callable[[Mapping[str, Any]], nn.Module]


@dataclass(frozen=True)
class SequencePredictions:
    """One row a sequence, in the order given.

    churn        shape (n, days): the chance of churn at each horizon; None without a churn head
    mean         shape (n,), money: what adds up; None without a value head, as `quantiles`
    quantiles    shape (n, levels), money; the level 0.5 is the median
    embedding    shape (n, d): what the heads read; see `Network.read`
    """

    churn: Floats | None
    mean: Floats | None
    quantiles: Floats | None
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class SequenceModel:
    """`encoder`: the settings, as JSON holds them, that an encoder like the network's is built
    from."""

    network: Network
    encoder: Mapping[str, Any]

    @torch.inference_mode()
    def predict(
        self, batches: Iterable[Ragged], days: Sequence[float], levels: Sequence[float] = (0.5,)
    ) -> SequencePredictions:
        """Of all sequences of the batches, which lie on the network's device.

        days      horizons in days; past the longest fitted one, the last bin's rate goes on
        levels    of the quantiles of value, within (0, 1)
        """
        self.network.eval()
        empty = torch.zeros(0, self.network.read_width)
        state = torch.cat([empty, *(self.network.summary(batch).cpu() for batch in batches)])
        churn, mean, quantiles = self._said(state.to(self._device), days, levels)
        return SequencePredictions(churn, mean, quantiles, state.numpy())

    def _said(
        self, state: Tensor, days: Sequence[float], levels: Sequence[float]
    ) -> tuple[Floats | None, Floats | None, Floats | None]:
        churn, mean, quantiles = None, None, None
        if head := self.network.churn:
            churn = _floats(head.churn(head(state).double(), state.new_tensor(tuple(days))))
        if value := self.network.value:
            parts = value(state).double()
            mean, quantiles = _floats(value.mean(parts)), _floats(value.quantiles(parts, levels))
        return churn, mean, quantiles

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def save(self, folder: Path) -> Path:
        """Writes the two files; the weights first, so that what names them finds them."""
        make_folder(folder)
        state = self.network.state_dict()
        arrays = {name: held.detach().cpu().numpy() for name, held in state.items()}
        path = write_atomic(folder / WEIGHTS, lambda draft: _write_arrays(draft, arrays))
        about = FORMAT | {
            "encoder": dict(self.encoder),
            "heads": self.network.settings,
            "weights": digest_file(path),
        }
        write_json(folder / ABOUT, about | {"digest": digest_of(about, 64)})
        return folder

    @classmethod
    def load(cls, folder: Path, build: Build) -> SequenceModel:
        """The model, on the CPU.

        build    makes an encoder of its settings, its weights being those of the file after

        Raises ModelError where a file is missing, of another version, or not as it was written.
        """
        about = _about(folder)
        network = Network(build(about["encoder"]), about["heads"])
        arrays = _read_arrays(folder / WEIGHTS, about["weights"])
        state = {name: torch.from_numpy(held) for name, held in arrays.items()}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            told = " ".join(str(error).split())
            raise ModelError(f"{folder}: the weights do not fit ({told}); train again") from None
        return cls(network, about["encoder"])


def _floats(found: Tensor) -> Floats:
    held: Floats = found.double().cpu().numpy()
    return held


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: holds no readable model ({error}); train again") from None
    found = {key: about.get(key) for key in FORMAT} if isinstance(about, dict) else about
    if found != FORMAT:
        raise ModelError(f"{folder}: holds {found}, this Holdfast reads {FORMAT}; train again")
    digest = about.pop("digest", None)
    if digest != digest_of(about, 64):
        raise ModelError(f"{folder / ABOUT}: was changed after it was written; train again")
    checked: dict[str, Any] = about
    return checked


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _read_arrays(path: Path, digest: str) -> dict[str, NDArray[Any]]:
    """Digests the very bytes that are then read."""
    try:
        held = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error}); train again") from None
    found = digest_of_bytes(held)
    if found != digest:
        raise ModelError(
            f"{path}: has the digest {found[:12]} instead of {digest[:12]}: it was changed or cut "
            "after it was written; train again"
        )
    with np.load(io.BytesIO(held), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
