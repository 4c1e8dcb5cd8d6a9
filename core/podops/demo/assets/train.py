"""Train the character model. `train.py config/x.py key=<Python literal> …`, as in nanoGPT."""

import ast
import os
import random
import sys
import time

from model import Model, examples, texts

out_dir = "out"
max_iters = 1500
eval_interval = 300
eval_iters = 100
log_interval = 10
batch_size = 16
block_size = 5
n_hidden = 32
learning_rate = 0.01
wandb_log = False
seed = 1337

names = {k for k, v in globals().items() if not k.startswith("_") and isinstance(v, (int, float, bool, str))}
for argument in sys.argv[1:]:
    if "=" not in argument:
        print("Overriding config with %s" % argument)
        with open(argument, encoding="utf-8") as f:
            exec(f.read())
        continue
    key, value = argument.split("=", 1)
    if key not in names:
        sys.exit("Unknown config key: %s" % key)
    try:
        value = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        pass
    print("Overriding: %s = %s" % (key, value))
    globals()[key] = value

os.makedirs(out_dir, exist_ok=True)
train_text, val_text = texts()
chars = sorted(set(train_text + val_text))
index = {c: i for i, c in enumerate(chars)}
train_ids, val_ids = [index[c] for c in train_text], [index[c] for c in val_text]
draw = random.Random(seed)
model = Model(chars, block=block_size, hidden=n_hidden, seed=seed)
held_out = examples(val_ids, block_size, eval_iters, draw)
seen = examples(train_ids, block_size, eval_iters, draw)
print("tokens per iteration will be: %d" % batch_size)

for it in range(max_iters + 1):
    if it % eval_interval == 0 or it == max_iters:
        print("step %d: train loss %.4f, val loss %.4f" % (it, model.loss(seen), model.loss(held_out)), flush=True)
        if it:
            model.save(os.path.join(out_dir, "ckpt.json"), iter=it)
            print("saving checkpoint to %s" % out_dir)
    if it == max_iters:
        break
    started = time.time()
    loss = model.train(examples(train_ids, block_size, batch_size, draw), learning_rate * (1 - 0.9 * it / max_iters))
    if it % log_interval == 0:
        print("iter %d: loss %.4f, time %.2fms" % (it, loss, (time.time() - started) * 1000), flush=True)

print("---------------\n" + model.sample("We the People", 200))
