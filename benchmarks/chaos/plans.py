"""Plans of many shapes, the same for the same seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from bottega.core.brief import Brief
from bottega.core.plan import Deliverable, Plan, Step

POLICY = """
format = "bottega.policy/1"
name = "chaos"
[[rules]]
name = "all"
media_types = ["*/*"]
checks = { decodes = {} }
"""
SHARED = 12  # steps that plans have in common at a time
MARKDOWN = (
    "# Lamp {{ n }}\n\n**Warm light**\n\nIt weighs {{ n }} g and costs {{ data[0].rows[0][1] }} euros.\n"
)


@dataclass
class Mixture:
    """Chains, diamonds, fans, plans that share steps, large files, and one in ten of real engines.

    ``slips`` is the file in which the counting engines sign; empty, and all steps take no time, in the run that
    nobody disturbs.
    """

    seed: int
    slips: str = ""
    seconds: float = 0.25  # the longest time of a step
    real: bool = True
    shapes: Mapping[str, int] = field(
        default_factory=lambda: {"chain": 3, "diamond": 3, "fan": 2, "shared": 3, "large": 1, "real": 1}
    )

    def plan(self, number: int) -> Plan:
        """The plan of a run."""
        random = Random(f"{self.seed} {number}")
        shape = random.choices([*self.shapes], [*self.shapes.values()])[0]
        if shape == "real" and self.real:
            return self._real(number)
        name = f"r{number}"
        match shape:
            case "chain":
                steps = [self._slip(random, f"{name}.s0")]
                for index in range(1, random.randint(3, 6)):
                    steps.append(self._slip(random, f"{name}.s{index}", steps[-1]))
            case "fan":
                legs = [self._slip(random, f"{name}.leg{index}") for index in range(random.randint(5, 9))]
                steps = [*legs, self._slip(random, f"{name}.end", *legs)]
            case "large":
                large = [
                    self._slip(random, f"{name}.large{index}", kilobytes=random.randint(2000, 5000))
                    for index in (0, 1)
                ]
                steps = [*large, self._slip(random, f"{name}.end", *large)]
            case "shared":
                common = [
                    self._common(number // SHARED * SHARED + random.randrange(SHARED)) for _ in range(3)
                ]
                common = list({step.id: step for step in common}.values())
                steps = [*common, self._slip(random, f"{name}.end", *common)]
            case _:
                top = self._slip(random, f"{name}.top")
                sides = [self._slip(random, f"{name}.{side}", top) for side in ("left", "right")]
                steps = [top, *sides, self._slip(random, f"{name}.end", *sides)]
        return _plan(number, steps, {f"{steps[-1].id}.text": "end.txt", f"{steps[0].id}.text": "first.txt"})

    def _slip(self, random: Random, name: str, *after: Step, kilobytes: int = 0) -> Step:
        apart = random.random() < 0.25
        seconds = round(random.random() * self.seconds, 3)
        return Step(
            id=name.rpartition(".")[2] if name.startswith("r") else name,
            engine="slip_apart" if apart else "slip",
            version="1",
            params={
                "text": f"{name} says {random.random():.6f}",
                "seconds": seconds if self.slips else 0.0,
                "kilobytes": kilobytes,
                "slips": self.slips,
            },
            inputs={"text": tuple(f"{step.id}.text" for step in after)} if after else {},
        )

    def _common(self, number: int) -> Step:
        return self._slip(Random(f"{self.seed} common {number}"), f"common{number}")

    def _real(self, number: int) -> Plan:
        """Compose, table, chart, layout and document, by rule and without weights other than fonts and icons."""
        csv = f"lamp,price\nSolo,{number + 10}\nDuo,{number + 20}\n"
        steps = [
            Step(id="csv", engine="echo", params={"text": csv, "media_type": "text/csv"}),
            Step(id="table", engine="table", params={"sql": "SELECT * FROM t1"}, inputs={"tables": ("csv.text",)}),
            Step(
                id="chart", engine="chart", params={"x": "lamp", "y": ["price"], "width": 480, "title": f"Lamp {number}"},
                inputs={"table": ("table.rows",)}, seed=7,
            ),
            Step(id="layout", engine="layout", params={"title": f"Lamp {number}", "width": 320, "height": 180}, seed=7),
            Step(
                id="words", engine="compose",
                params={"template": MARKDOWN, "values": {"n": number}}, inputs={"data": ("table.rows",)},
            ),
            Step(
                id="sheet", engine="document", inputs={"text": ("words.text",), "images": ("chart.png", "layout.png")},
                seed=7,
            ),
        ]  # fmt: skip
        leaving = {
            "sheet.pdf": "sheet.pdf",
            "sheet.html": "sheet.html",
            "chart.png": "chart.png",
            "table.table": "table.csv",
        }
        return _plan(number, steps, leaving)


def _plan(number: int, steps: list[Step], leaving: Mapping[str, str]) -> Plan:
    return Plan(
        brief=Brief(goal=f"chaos {number}"),
        steps=tuple(step.model_copy(update={"checks": {"decodes": {}}}) for step in steps),
        deliverables=tuple(
            Deliverable(output=output, path=path, title=path, kind="text") for output, path in leaving.items()
        ),
    )
