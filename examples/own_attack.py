"""An attack of your own, checked as ours are, and measured beside PGD.

A drifting detector or transducer leaves stripes. How bad is the worst pattern of stripes, each within the budget?

`python examples/own_attack.py [FOLDER]`
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

import medrobust as mr
from medrobust.norms import per_sample


@dataclass(frozen=True)
class Stripes:
    """Columns one epsilon brighter or darker: each in turn is inverted, and stays so where the margin rises."""

    num_rounds: int = 2
    goal: mr.goals.GoalRule = mr.goals.untargeted
    abilities: ClassVar[mr.attacks.Abilities] = mr.attacks.Abilities(needs="scores", norms=("linf",))

    @torch.no_grad()
    def __call__(self, model, x, y, threat, *, generator=None):
        if threat.norm.name != "linf":
            raise ValueError(f"stripes are made for linf, not {threat.norm.name}")
        ball, goal = threat.around(x), self.goal(model(x), y)
        stripes = per_sample(ball.radius, x) * torch.ones_like(x)
        best = ball.project(x + stripes)
        score = mr.losses.margin(model(best), goal)
        for column in list(range(x.shape[-1])) * self.num_rounds:
            inverted = stripes.clone()
            inverted[..., column] *= -1
            new = ball.project(x + inverted)
            new_score = mr.losses.margin(model(new), goal)
            won = per_sample(new_score > score, x)
            best, stripes = torch.where(won, new, best), torch.where(won, inverted, stripes)
            score = torch.maximum(score, new_score)
        return best


out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
mr.testing.check_attack(Stripes())
print("Stripes passes every check of an attack")

model = mr.load_model(str(Path(mr.__file__).parent / "default"))  # the small classifier that comes with medrobust
images = mr.open_images("phantom:ultrasound@64,count=80", split="test", view=mr.View(color="grey"))
records = mr.measure(model, images, {"stripes": Stripes(), "pgd": "pgd"}, linf=["1/255", "2/255", "4/255"])
for curve in records.curves("linf"):
    print(f"  {curve.attack}: robust accuracy {', '.join(f'{share:.2f}' for share in curve.counted.mean(0))}")
records.write(out / "records.parquet")
print(f"the rows: {out / 'records.parquet'}")
