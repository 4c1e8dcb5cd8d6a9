"""Fails on purpose after a few steps, as a real training might."""

import time


def load_batch(it):
    if it == 5:
        raise ValueError("batch 5 has shape (16, 7), expected (16, 8)")
    return it


for it in range(10):
    load_batch(it)
    print("iter %d: loss %.4f, time 200.00ms" % (it, 4.2 - it / 10), flush=True)
    time.sleep(0.2)
