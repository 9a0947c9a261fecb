"""pytorch-lifestream 0.7 on the same task; run by its own Python, for `sequence_training`.

    PYTHON benchmarks/sequence_rival.py FOLDER SETTINGS

Its supervised training as its documentation and demos have it: MemoryMapDataset of one dict a
user, SeqToTargetDataset, PtlsDataModule, TrxEncoder, RnnSeqEncoder, SequenceToTarget, Trainer.
Kept in its favour: logarithms are taken beforehand (its own scaler loops over the rows), and no
metric is computed while the clock runs. Prints one JSON object a check.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from sequence_clock import Clock
from sequence_world import CHANNELS, KINDS, auc

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def records(path):
    """One dict a user; codes counted from 1, since 0 is padding."""
    data = np.load(path)
    logs = np.nan_to_num(np.log1p(data["gap"])), np.nan_to_num(np.log1p(data["amount"]))
    columns = {
        "event_time": torch.arange(len(data["kind"])),
        "kind": torch.from_numpy(data["kind"].astype(np.int64) + 1),
        "channel": torch.from_numpy(data["channel"].astype(np.int64) + 1),
        "hour": torch.from_numpy(data["hour"].astype(np.int64) + 1),
        "weekday": torch.from_numpy(data["weekday"].astype(np.int64) + 1),
        "gap": torch.from_numpy(logs[0]),
        "amount": torch.from_numpy(logs[1]),
    }
    ends = data["offsets"].tolist()
    return [
        {name: values[begin:end] for name, values in columns.items()} | {"target": int(label)}
        for begin, end, label in zip(ends[:-1], ends[1:], data["label"], strict=True)
    ]


def network(settings):
    from ptls.frames.supervised import SequenceToTarget
    from ptls.nn import RnnSeqEncoder, TrxEncoder

    encoder = RnnSeqEncoder(
        trx_encoder=TrxEncoder(
            embeddings={
                "kind": {"in": KINDS + 1, "out": 16},
                "channel": {"in": CHANNELS + 1, "out": 4},
                "hour": {"in": 25, "out": 4},
                "weekday": {"in": 8, "out": 4},
            },
            numeric_values={"gap": "identity", "amount": "identity"},
        ),
        hidden_size=settings["width"],
        type="gru",
    )
    return SequenceToTarget(
        seq_encoder=encoder,
        head=torch.nn.Sequential(
            torch.nn.Linear(settings["width"], 1), torch.nn.Sigmoid(), torch.nn.Flatten(0)
        ),
        loss=torch.nn.BCELoss(),
        metric_list={},
        optimizer_partial=partial(torch.optim.Adam, lr=settings["rate"]),
        lr_scheduler_partial=partial(torch.optim.lr_scheduler.StepLR, step_size=1000),
    )


def watch(settings, valid):
    import pytorch_lightning as pl

    class Watch(pl.Callback):
        """Stops the clock, checks, and lets it run on; stops training when time is up."""

        def on_train_start(self, trainer, module):
            self.clock, self.events = Clock(), 0

        def on_train_batch_end(self, trainer, module, outputs, batch, number):
            self.events += int(batch[0].seq_lens.sum())
            if trainer.global_step == settings["warm"]:
                self.clock, self.events = Clock(), 0
            if trainer.global_step % settings["check"] == 0:
                self.check(trainer, module)

        def check(self, trainer, module):
            self.clock.stop()
            found = {"events": self.events, "step": trainer.global_step, **self.clock.read()}
            if settings["score"]:
                module.eval()
                with torch.no_grad():
                    scores = [(module(x), y) for x, y in valid]
                module.train()
                pair = [torch.cat(part).numpy() for part in zip(*scores, strict=True)]
                found["auc"] = auc(pair[1], pair[0])
            print(json.dumps(found), flush=True)
            trainer.should_stop = self.clock.seconds > settings["seconds"]
            self.clock.go_on()

    return Watch()


def main(folder, settings):
    import pytorch_lightning as pl
    from ptls.data_load.datasets import MemoryMapDataset
    from ptls.frames import PtlsDataModule
    from ptls.frames.supervised import SeqToTargetDataset

    torch.set_num_threads(settings["threads"])
    pl.seed_everything(settings["seed"], verbose=False)
    train, valid = (
        SeqToTargetDataset(
            MemoryMapDataset(rows), target_col_name="target", target_dtype=torch.float32
        )
        for rows in (
            records(folder / "train.npz"),
            sorted(records(folder / "valid.npz"), key=lambda row: len(row["kind"])),
        )
    )
    module = PtlsDataModule(
        train_data=train, train_batch_size=settings["batch"], valid_data=valid, valid_batch_size=256
    )
    trainer = pl.Trainer(
        max_epochs=settings["epochs"],
        accelerator="cpu",
        callbacks=[watch(settings, module.val_dataloader())],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
    )
    trainer.fit(network(settings), train_dataloaders=module.train_dataloader())


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
