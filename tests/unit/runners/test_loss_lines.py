"""The losses that are found in what a loop prints which somebody wrote, and what is not taken for one."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from podops_runners.metrics_scrape import Scraper

#: As tutorials, well known training codes and hand-written loops print them.
TOLD: dict[str, dict[str, Any]] = {
    "loss: 2.98": {"loss": 2.98},
    "Loss 2.98": {"loss": 2.98},
    "loss=2.98, lr=1e-4, step=100": {"loss": 2.98, "lr": 1e-4, "step": 100},
    "loss: tensor(2.3026, grad_fn=<NllLossBackward0>)": {"loss": 2.3026},
    "loss: 2.302585  [   64/60000]": {"loss": 2.302585},
    "[1,  2000] loss: 2.196": {"loss": 2.196},
    "iter 100 loss 2.98": {"step": 100, "loss": 2.98},
    "iter 100, loss=2.98 acc=0.5": {"step": 100, "loss": 2.98, "acc": 0.5},
    "Epoch 3 val: loss 2.31, acc 0.5": {"epoch": 3, "val_loss": 2.31, "val_acc": 0.5},
    "epoch 3/10 | valid | loss 2.31 | valid_ppl=10.1": {"epoch": 3, "val_loss": 2.31, "valid_ppl": 10.1},
    "Epoch 1, validation: loss 2.31": {"epoch": 1, "val_loss": 2.31},
    "Step 100 (eval): loss=2.31": {"step": 100, "eval_loss": 2.31},
    "[val] epoch 3 loss 2.31": {"epoch": 3, "val_loss": 2.31},
    "[2026-11-30 10:00:00] [TEST] step 100 | loss: 2.31": {"step": 100, "test_loss": 2.31},
    "[2026-11-30 10:00:00,123][test][INFO] - step 100 | loss: 2.31": {"step": 100, "loss": 2.31},
    "INFO:eval:step 100 loss: 2.31": {"step": 100, "loss": 2.31},
    "step 100 eval_interval 50 loss 2.31": {"step": 100, "loss": 2.31},
    "step 100 test tokens: 5 loss 2.31": {"step": 100, "loss": 2.31},
    "[Step 10] train loss 3.2 best loss 3.1": {"step": 10, "train_loss": 3.2, "best_loss": 3.1},
    "Step 10/500 | Loss: 3.2, lr: 1e-4": {"step": 10, "loss": 3.2, "lr": 1e-4},
    "step 10: loss nan.": {"step": 10, "loss": math.nan},
    "Epoch [1/5], Step [100/600], Loss: 0.2116": {"step": 100, "epoch": 1, "loss": 0.2116},
    "Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.300039": {"epoch": 1, "loss": 2.300039},
    "epoch 3/10 - training loss: 2.9 - val_loss: 3.1": {"epoch": 3, "train_loss": 2.9, "val_loss": 3.1},
    "| epoch   1 |   200/ 2983 batches | lr 20.00 | ms/batch  5.42 | loss  7.51 | ppl  1822.1": {
        "epoch": 1,
        "step": 200,
        "lr": 20.0,
        "loss": 7.51,
        "ppl": 1822.1,
    },
    "epoch 3 step 120 loss 2.31 lr 3e-4": {"epoch": 3, "step": 120, "loss": 2.31, "lr": 3e-4},
    "step 120 | loss 2.31 | grad_norm 0.7 | 3 of 8 ranks wait": {"step": 120, "loss": 2.31, "grad_norm": 0.7},
    "step 120 loss 2.31 tokens 4096 queue 7": {"step": 120, "loss": 2.31, "tokens": 4096, "queue": 7},
    "epoch 2 done  val_loss 0.640 acc 0.32": {"epoch": 2, "val_loss": 0.64, "acc": 0.32},
    "epoch 2 done val_loss 0.640 val acc 0.32": {"epoch": 2, "val_loss": 0.64, "val_acc": 0.32},
    "it 120: loss 2.31": {"step": 120, "loss": 2.31},
    "ep 3 it 120 loss 2.31": {"epoch": 3, "step": 120, "loss": 2.31},
    "[1/3] [10/200] loss=2.31": {"epoch": 1, "step": 10, "loss": 2.31},
    "[10/200] lr=1e-4 loss=2.31": {"step": 10, "loss": 2.31, "lr": 1e-4},
    "[3/8] step 500 loss 2.31": {"step": 500, "loss": 2.31},
    "[2026-11-30 10:00:00,123][__main__][INFO] - Epoch: 1 | Step: 200/1000 | Loss: 1.2222": {
        "epoch": 1,
        "step": 200,
        "loss": 1.2222,
    },
    "iteration       10/  5000 | learning rate: 1.5E-05 | lm loss: 1.071E+01 | loss scale: 65536.0 |": {
        "step": 10,
        "learning_rate": 1.5e-5,
        "loss": 10.71,
        "loss_scale": 65536.0,
    },
    "INFO:root:step 10 loss 2.98": {"step": 10, "loss": 2.98},
    "2026-11-21 02:17:09,123 - train - INFO - Epoch 2, average loss: 0.53": {"epoch": 2, "loss": 0.53},
    "[rank0]:[titan] 2026-11-21 02:17:09,123 - root - INFO - step:  1  loss: 12.2  memory: 3.1GiB(4%)": {
        "step": 1,
        "loss": 12.2,
    },
    "epoch 1 iter 20: train loss 2.98. lr 6.0e-04:   4%|#   | 20/500 [00:10<00:20,  3.9it/s]": {
        "step": 20,
        "epoch": 1,
        "train_loss": 2.98,
    },
}

NOT_TOLD = (
    "[1/3] best loss: 2.31",
    "[3/8] Downloading, packet loss: 3",
    "it took 3 tries, loss 2 lines",
    "loss 3 times in a row",
    "loss nan detected, skipping",
    "loss: 10:30:22",
    "loss: cross_entropy",
    "Loss scale: 65536",
    "lossless compression: 3.0",
    "[2026-11-30 10:00:00] INFO step 5 loss 1,234.5",
    "packet loss: 3.5",
    "best loss: 2.31",
    "epochs: 10, loss: mse",
    "Epoch 00003: val_loss improved from 0.25 to 0.21, saving model",
    "saving checkpoint at step 500 with loss: 2.31",
    "Saved checkpoint: step 500, loss 2.1",
    "Gradient overflow. Skipping step, loss scaler 0 reducing loss scale to 32768.0",
    "Test set: Average loss: 0.0489, Accuracy: 9851/10000 (99%)",
)


@pytest.mark.parametrize("line", TOLD)
def test_a_loss_is_read_from_the_line_of_a_loop(line: str) -> None:
    (found,) = Scraper().feed(f"{line}\n".encode())
    assert {name: found[name] for name in TOLD[line]} == pytest.approx(TOLD[line], nan_ok=True)
    assert "loss" in TOLD[line] or "loss" not in found
    assert "epoch" in TOLD[line] or "epoch" not in found


@pytest.mark.parametrize("line", NOT_TOLD)
def test_words_in_which_a_loss_is_mentioned_tell_none(line: str) -> None:
    assert Scraper().feed(f"{line}\n".encode()) == []


def test_words_and_numbers_that_do_not_run_to_the_end_of_a_line_are_no_metrics() -> None:
    (found,) = Scraper().feed(b"step 120 loss 2.31 saved 3 files in 5 s\n")
    assert found == {"step": 120, "loss": 2.31}


#: Bars that say of themselves that they are those of a validation, and what their loss is called then.
CHECKS = {
    "Validating: ": "val_loss",
    "Epoch 3 val: ": "val_loss",
    "[epoch 3] [Valid] ": "val_loss",
    "Validation DataLoader 0: ": "val_loss",
    "val_epoch 3: ": "val_loss",
    "Evaluating: ": "eval_loss",
    "Testing DataLoader 0: ": "test_loss",
}


@pytest.mark.parametrize("said", CHECKS)
def test_the_bar_of_a_validation_moves_neither_the_loss_of_the_training_nor_its_step(said: str) -> None:
    scraper = Scraper()
    scraper.feed(b"\rEpoch 3:  50%|#  | 10/20 [00:01<00:01, 9.1it/s, loss=2.0]\r")
    for step in (4, 20):
        (told,) = scraper.feed(f"\r{said} {5 * step}%|#  | {step}/20 [00:01<00:01, 9.1it/s, loss=2.31]\r".encode())
        assert (told[CHECKS[said]], told["step"], "loss" in told) == (2.31, 10, False)
    assert (scraper.progress.step, scraper.progress.total) == (10, 20)


@pytest.mark.parametrize("said", ["Epoch 3: ", "Training: ", "train/val: ", "loss 2.1 val loss 2.2: ", "latest: "])
def test_any_other_bar_is_taken_for_that_of_the_training(said: str) -> None:
    (told,) = Scraper().feed(f"\r{said} 50%|#  | 4/8 [00:01<00:01, 9.1it/s, loss=2.31]\r".encode())
    assert (told["loss"], told["step"]) == (2.31, 4)


@pytest.mark.parametrize("said", [b"", b"Training: "])
def test_a_validation_after_an_epoch_whose_bar_tells_nothing_else_leaves_its_step(said: bytes) -> None:
    scraper = Scraper()
    scraper.feed(b"\r" + said + b"100%|##| 20/20 [00:01<00:00, 9.1it/s]\r")
    scraper.feed(b"\rValidating:  50%|#  | 4/8 [00:01<00:01, 9.1it/s, loss=2.31]\r")
    assert (scraper.progress.step, scraper.progress.total) == (20, 20)


def test_a_run_that_only_validates_comes_as_far_as_its_bar_does_and_a_training_takes_over_from_it() -> None:
    alone = Scraper()
    alone.feed(b"\rLoading: 100%|##| 2/2 [00:01<00:00, 9.1it/s]\r")
    for step in (40, 80):
        (told,) = alone.feed(b"\rEvaluating:  50%%|#  | %d/80 [00:01<00:01, 9.1it/s, loss=2.31]\r" % step)
        assert told == {"eval_loss": 2.31, "step": step}
        assert (alone.progress.step, alone.progress.total, alone.progress.is_part) == (step, 80, False)
        if step == 40:
            alone.feed(b"\rGenerating:  50%|#  | 5/10 [00:01<00:01, 9.1it/s]\r")
    alone.feed(b"\r 5%|#  | 1/20 [00:01<00:01, 9.1it/s]\r")
    assert (alone.progress.step, alone.progress.total, alone.progress.is_part) == (1, 20, False)
    (told,) = alone.feed(b"\rEvaluating:  50%|#  | 40/80 [00:01<00:01, 9.1it/s, loss=2.31]\r")
    assert told == {"eval_loss": 2.31, "step": 1} and alone.progress.step == 1


def test_metrics_without_a_step_are_told_at_that_of_a_bar_which_is_theirs() -> None:
    loaded = Scraper()
    loaded.feed(b"\rLoading: 100%|##| 2/2 [00:01<00:00, 9.1it/s]\r")
    assert loaded.feed(b"{'loss': 2.31, 'epoch': 0.5}\n") == [{"loss": 2.31, "epoch": 0.5}]
    for step in (10, 20):
        loaded.feed(b"\r 50%%|##| %d/20 [00:01<00:00, 9.1it/s]\r" % step)
        (told,) = loaded.feed(b"{'loss': 2.31, 'epoch': 0.5}\n")
        assert told["step"] == step


#: Lines that a pattern with two ways to read them would be tried on for ever.
TANGLED = (
    "INFO:" * 30 + "!!!! loss",
    "DEBUG INFO - " * 40 + " loss",
    "INFO:a: " * 50 + " loss",
    "[a]" * 800 + " loss",
    "loss: " + "1" * 4000 + "x",
    "step 10 loss 1 " + "a  1 " * 600 + "x",
    "epoch 1 " + "loss   " * 500,
    "step" + " " * 4000 + "loss",
    "epoch 1 | " + "1/" * 1500 + " loss",
    "step 1 " + "val_" * 1000 + " loss 2.3",
    "[val" * 900 + "] loss 2.3",
    "━ " * 2000 + "9/9 loss",
    "━" + " " * 4000 + "loss",
    "Train:" + " " * 4000 + "loss",
    "Epoch: [0] [ " + " " * 4000 + "loss",
    "9/9 [" + "━" * 4000 + "loss",
    "INFO | a | " * 300 + "loss",
    "val " * 900 + " 1/9 [00:01<00:01, loss=2.3]",
)


def test_no_line_holds_up_who_reads_it() -> None:
    code = "import sys; from podops_runners.metrics_scrape import Scraper; Scraper().feed(sys.stdin.buffer.read())"
    lines = "".join(f"{line}\n" for line in TANGLED)
    subprocess.run([sys.executable, "-c", code], input=lines, text=True, check=True, timeout=60)


def test_epochs_are_steps_where_a_run_tells_no_others() -> None:
    alone = Scraper()
    for epoch in (1, 2):
        assert alone.feed(b"epoch %d/10 loss: 2.5\n" % epoch) == [{"loss": 2.5, "epoch": epoch}]
    assert (alone.progress.step, alone.progress.total, alone.progress.is_part) == (2, 10, False)
    beside = Scraper()
    beside.feed(b"step 500 loss: 2.5\n")
    after, bare = beside.feed(b"epoch 1/10 loss: 2.4\nloss: 2.3\n")
    assert (after, bare) == ({"loss": 2.4, "epoch": 1, "step": 500}, {"loss": 2.3, "step": 500})
    assert beside.progress.step == 500
