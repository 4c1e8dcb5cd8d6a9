"""Score a checkpoint: `eval.py --checkpoint PATH --num_examples N`; without a path, the newest finished training's."""

import argparse
import json
import math
import os
import random
import sys

from model import Model, examples, newest_checkpoint, texts

parser = argparse.ArgumentParser()
parser.add_argument("--checkpoint")
parser.add_argument("--num_examples", type=int, default=300)
args = parser.parse_args()
run_dir = os.environ.get("OPS_RUN_DIR", ".")
checkpoint = args.checkpoint or newest_checkpoint(os.path.dirname(run_dir))
if checkpoint is None:
    sys.exit("there is no checkpoint yet: run the preset `train` on this pod first, or give checkpoint=PATH")
print("evaluating %s" % checkpoint, flush=True)
model = Model.load(checkpoint)
index = {c: i for i, c in enumerate(model.chars)}
ids = [index[c] for c in texts()[1]]
total, right = 0.0, 0
with open(os.path.join(run_dir, "results.jsonl"), "w", encoding="utf-8") as out:
    for n, (context, target) in enumerate(examples(ids, model.block, args.num_examples, random.Random(7))):
        p = model.forward(context)[2]
        guess = max(range(len(p)), key=p.__getitem__)
        total, right = total - math.log(p[target] + 1e-12), right + (guess == target)
        row = {
            "context": "".join(model.chars[c] for c in context),
            "target": model.chars[target],
            "guess": model.chars[guess],
            "p": p[target],
        }
        out.write(json.dumps(row) + "\n")
print("{'eval_loss': %.4f, 'accuracy': %.4f}" % (total / args.num_examples, right / args.num_examples))
