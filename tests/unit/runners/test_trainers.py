"""What well-known trainers print: the loss, the step and the epoch that are read from it."""

from __future__ import annotations

from typing import Any

import pytest

from podops_runners.metrics_scrape import Scraper

TIMES = "[00:01<00:01, 9.1it/s"
YOLO = "      Epoch    GPU_mem   box_loss   cls_loss  Instances       Size\n"
YOLO_CHECK = "                 Class     Images  Instances      Box(P          R: "
FAIRSEQ = "2026-11-30 10:00:00 | INFO | "

#: What each prints; its last metrics; and of its progress step, total, whether that is of a part, epoch and epochs.
PRINTED: dict[str, tuple[str, dict[str, Any], tuple[Any, ...]]] = {
    "Hugging Face": (
        f"\r 50%|#  | 10/20 {TIMES}]\r{{'loss': 2.31, 'grad_norm': 1.2, 'epoch': 0.5}}\n",
        {"loss": 2.31, "grad_norm": 1.2, "epoch": 0.5, "step": 10},
        (10, 20, False, None, None),
    ),
    "LLaMA-Factory": (
        f"\r 50%|#  | 10/20 {TIMES}]\r"
        "[INFO|2026-11-30] llamafactory.train.callbacks:143 >> {'loss': 2.31, 'epoch': 0.5}\n",
        {"loss": 2.31, "epoch": 0.5, "step": 10},
        (10, 20, False, None, None),
    ),
    "Keras 3": (
        "Epoch 2/3\n"
        "\x1b[1m40/60\x1b[0m \x1b[32m━━━\x1b[0m\x1b[37m━\x1b[0m \x1b[1m1:05\x1b[0m 5ms/step - acc: 0.8 - loss: 2.31\n",
        {"loss": 2.31, "acc": 0.8, "epoch": 2, "step": 40},
        (40, 60, True, 2, 3),
    ),
    "Keras 2": (
        "Epoch 2/3\n\b\b\b\r 40/60 [=====>.....] - ETA: 3s - loss: 2.31 - accuracy: 0.8\b\b\b\r",
        {"loss": 2.31, "accuracy": 0.8, "epoch": 2, "step": 40},
        (40, 60, True, 2, 3),
    ),
    "Keras, one line an epoch": (
        "Epoch 2/3\n60/60 - 3s - 50ms/step - loss: 2.31 - val_loss: 2.5\n",
        {"loss": 2.31, "val_loss": 2.5, "epoch": 2, "step": 60},
        (60, 60, True, 2, 3),
    ),
    "torchtune": (
        f"\r2|110|Loss: 2.310000181198120:  50%|#  | 10/20 {TIMES}]\r",
        {"loss": 2.31000018119812, "epoch": 2, "step": 10},
        (10, 20, True, 2, None),
    ),
    "Ultralytics with tqdm": (
        f"{YOLO}        2/3      2.34G      2.31      1.1         12        640:  50%|#  | 10/20 {TIMES}]\r"
        f"{YOLO_CHECK} 100%|#| 4/4 {TIMES}]\r",
        {"box_loss": 2.31, "cls_loss": 1.1, "epoch": 2, "step": 10},
        (10, 20, True, 2, 3),
    ),
    "Ultralytics": (
        f"{YOLO}\r\x1b[K        2/3         0G      2.31       nan         12        640: "
        "50% ━━━━━━────── 10/20 3.1it/s 5.1s<3.2s\n"
        f"\r\x1b[K{YOLO_CHECK} 50% ━━━━━━────── 2/4 3.1it/s 5.1s<3.2s\n",
        {"box_loss": 2.31, "epoch": 2, "step": 10},
        (10, 20, True, 2, 3),
    ),
    "fairseq": (
        f"{FAIRSEQ}train_inner | epoch 002:     10 / 20 loss=2.31, ppl=588.1, num_updates=30, lr=1e-05\n"
        f"{FAIRSEQ}valid | epoch 002 | valid on 'valid' subset | loss 5.2 | ppl 36.7 | best_loss 5.2\n",
        {
            "loss": 2.31,
            "ppl": 588.1,
            "num_updates": 30,
            "lr": 1e-5,
            "val_loss": 5.2,
            "val_ppl": 36.7,
            "epoch": 2,
            "step": 10,
        },
        (10, 20, True, 2, None),
    ),
    "torchvision": (
        "Epoch: [2]  [ 10/20]  eta: 0:00:10  lr: 0.100000  loss: 2.3100 (2.4000)  time: 0.1  max mem: 100\n",
        {"loss": 2.31, "lr": 0.1, "epoch": 2, "step": 10},
        (10, 20, True, 2, None),
    ),
    "PyTorch's MNIST": (
        "Train Epoch: 2 [640/60000 (1%)]\tLoss: 2.310000\n",
        {"loss": 2.31, "epoch": 2, "step": 640},
        (640, 60000, True, 2, None),
    ),
    "timm": (
        "Train: 2 [  10/20 ( 50%)]  Loss: 2.31 (2.40)  Time: 0.4s, 100.1/s  LR: 1.000e-05\n",
        {"loss": 2.31, "LR": 1e-5, "epoch": 2, "step": 10},
        (10, 20, True, 2, None),
    ),
    "MMEngine": (
        "2026/11/30 10:00:00 - mmengine - INFO - Epoch(train)  [2][ 10/20]  lr: 1.0e-05  eta: 0:10:00  loss: 2.31\n",
        {"loss": 2.31, "lr": 1e-5, "epoch": 2, "step": 10},
        (10, 20, True, 2, None),
    ),
    "MMEngine by steps": (
        "2026/11/30 10:00:00 - mmengine - INFO - Iter(train) [ 10/20]  lr: 1.0e-05  eta: 0:10:00  loss: 2.31\n",
        {"loss": 2.31, "lr": 1e-5, "step": 10},
        (10, 20, False, None, None),
    ),
}


@pytest.mark.parametrize("trainer", PRINTED)
def test_loss_step_and_epoch_are_read_from_what_a_trainer_prints(trainer: str) -> None:
    printed, expected, progress = PRINTED[trainer]
    scraper = Scraper()
    last: dict[str, Any] = {}
    for metrics in scraper.feed(printed.encode()):
        last |= metrics
    assert {name: last.get(name) for name in expected} == pytest.approx(expected)
    told = scraper.progress
    assert (told.step, told.total, told.is_part, told.epoch, told.epochs) == progress


@pytest.mark.parametrize(
    "line",
    [
        "Downloading model.safetensors ━━━━━━━━ 100/532 MB 1:02",
        "3/4 GPUs are busy, loss of one: 1",
        "Epoch 3, 4/5 GPUs busy",
        "Saved metrics >> {'loss': 1.0} to disk",
        "2026-11-30 10:00:00 | INFO | loss of contact | 3 times",
    ],
)
def test_what_only_looks_like_it_tells_nothing(line: str) -> None:
    scraper = Scraper()
    assert scraper.feed(f"{line}\n".encode()) == [] and scraper.progress.step is None
