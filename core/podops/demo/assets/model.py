"""A character-level language model with one hidden layer: forward, backward and Adam in plain Python."""

import json
import math
import os
import random
from operator import mul


class Model:
    """Predicts the next character from `block` characters before it."""

    def __init__(self, chars, block=5, embed=8, hidden=32, seed=1337):
        self.chars, self.block, self.embed, self.hidden = chars, block, embed, hidden
        draw = random.Random(seed)
        wide = block * embed
        rows = lambda n, m, s: [[draw.gauss(0, s) for _ in range(m)] for _ in range(n)]
        vocab = len(chars)
        self.e = rows(vocab, embed, 0.5)
        self.w = rows(hidden, wide + 1, 1 / math.sqrt(wide))
        self.u = rows(vocab, hidden + 1, 0.1)
        self.moments = [[([0.0] * len(r), [0.0] * len(r)) for r in t] for t in (self.e, self.w, self.u)]
        self.steps = 0

    def forward(self, context):
        x = [v for c in context for v in self.e[c]] + [1.0]
        h = [math.tanh(sum(map(mul, row, x))) for row in self.w] + [1.0]
        z = [sum(map(mul, row, h)) for row in self.u]
        top = max(z)
        p = [math.exp(v - top) for v in z]
        total = sum(p)
        return x, h, [v / total for v in p]

    def loss(self, examples):
        return -sum(math.log(self.forward(c)[2][t] + 1e-12) for c, t in examples) / len(examples)

    def train(self, examples, rate):
        """One step of Adam on the mean loss of `examples`, which it returns."""
        ge, gw, gu = ([[0.0] * len(r) for r in t] for t in (self.e, self.w, self.u))
        loss, n = 0.0, len(examples)
        for context, target in examples:
            x, h, p = self.forward(context)
            loss -= math.log(p[target] + 1e-12)
            p[target] -= 1.0
            dh = [0.0] * (self.hidden + 1)
            for i, d in enumerate(p):
                d /= n
                gu[i] = [g + d * v for g, v in zip(gu[i], h)]
                dh = [a + d * v for a, v in zip(dh, self.u[i])]
            dx = [0.0] * len(x)
            for j in range(self.hidden):
                d = dh[j] * (1 - h[j] * h[j])
                gw[j] = [g + d * v for g, v in zip(gw[j], x)]
                dx = [a + d * v for a, v in zip(dx, self.w[j])]
            for k, c in enumerate(context):
                part = dx[k * self.embed : (k + 1) * self.embed]
                ge[c] = [g + v for g, v in zip(ge[c], part)]
        self._adam((ge, gw, gu), rate)
        return loss / n

    def _adam(self, grads, rate):
        self.steps += 1
        rate *= math.sqrt(1 - 0.99**self.steps) / (1 - 0.9**self.steps)
        for table, grad, moments in zip((self.e, self.w, self.u), grads, self.moments):
            for i, g in enumerate(grad):
                m, v = moments[i]
                m = [0.9 * a + 0.1 * b for a, b in zip(m, g)]
                v = [0.99 * a + 0.01 * b * b for a, b in zip(v, g)]
                moments[i] = (m, v)
                table[i] = [w - rate * a / (math.sqrt(b) + 1e-8) for w, a, b in zip(table[i], m, v)]

    def sample(self, prompt, count, seed=0):
        draw = random.Random(seed)
        index = {c: i for i, c in enumerate(self.chars)}
        ids = [index.get("\n", 0)] * self.block + [index[c] for c in prompt if c in index]
        for _ in range(count):
            p = self.forward(ids[-self.block :])[2]
            ids.append(draw.choices(range(len(p)), p)[0])
        return "".join(self.chars[i] for i in ids[self.block :])

    def save(self, path, **more):
        """Replace `path` at once, so that a reader never sees half a checkpoint."""
        names = ("chars", "block", "embed", "hidden", "e", "w", "u", "steps")
        with open(path + ".tmp", "w", encoding="utf-8") as f:
            json.dump(dict({n: getattr(self, n) for n in names}, **more), f)
        os.replace(path + ".tmp", path)

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as f:
            saved = json.load(f)
        model = cls(saved["chars"], saved["block"], saved["embed"], saved["hidden"])
        model.e, model.w, model.u, model.steps = saved["e"], saved["w"], saved["u"], saved["steps"]
        return model


def texts():
    """Training and validation text: the last tenth is kept from training."""
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "text")
    text = ""
    for name in ("declaration.txt", "constitution.txt"):
        with open(os.path.join(here, name), encoding="utf-8") as f:
            text += f.read()
    return text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]


def examples(ids, block, count, draw):
    starts = [draw.randrange(len(ids) - block) for _ in range(count)]
    return [(ids[s : s + block], ids[s + block]) for s in starts]


def newest_checkpoint(root):
    """The checkpoint of the run under `root` that finished well most recently, or None."""
    found = []
    for run in os.listdir(root) if os.path.isdir(root) else []:
        path = os.path.join(root, run, "checkpoints", "ckpt.json")
        try:
            with open(os.path.join(root, run, "summary.json"), encoding="utf-8") as f:
                if json.load(f).get("ok"):
                    found.append((os.path.getmtime(path), path))
        except (OSError, ValueError):
            continue
    return max(found)[1] if found else None
