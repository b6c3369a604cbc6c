"""What a job needs before it asks a provider, besides its inputs: the key that its kernel has lent, and of its run's budget the
money that it may cost. A job that lacks one is given back, and parked until it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from xtyl_engine.nodes.base import Misfitting, NodeConfig, NodeType
from xtyl_engine.nodes.structured import tokens_again
from xtyl_engine.providers.base import Usage
from xtyl_engine.providers.registry import key_variables
from xtyl_engine.scheduler.outcomes import Claim, Released
from xtyl_engine.scheduler.transitions import VARIABLE
from xtyl_engine.settings import Settings
from xtyl_engine.values.recent import Recent
from xtyl_engine.worker.kernels import Kernels
from xtyl_engine.workflow.highest_cost import highest_cost

REMEMBERED_STEPS = 1024
Hold = Callable[[Claim, int], bool | None]


def hold_all(claim: Claim, most: int) -> bool:
    """Hold nothing, for no run has a budget."""
    return True


@dataclass(eq=False)
class Means:
    """What the jobs of one worker process have. `hold` holds money for a claim, as `Recorder.hold` does; `step` names the step
    of a template whose answers are alike, `largest` tells the largest answer of a claim's step that others have recorded."""

    settings: Settings
    kernels: Kernels | None
    hold: Hold
    step: Callable[[str, str], str]
    largest: Callable[[Claim], int]
    # The largest answers so far of steps whose runs have a budget, in tokens.
    _largest: Recent[str, int] = field(default_factory=lambda: Recent(REMEMBERED_STEPS))

    def lacking(
        self,
        kind: NodeType,
        config: NodeConfig,
        claim: Claim,
        variables: Mapping[str, str],
        misfits: Sequence[Misfitting] = (),
    ) -> Released | None:
        """The job given back, where it lacks something; None where it may start, and then its money is held. `misfits` are its
        answers before, of which the last is shown again. Raises BackendError, PriceUnknown."""
        provider = getattr(config, "provider", None) or self.settings.provider
        if (name := self._missing_key(provider, claim, variables)) is not None:
            return Released(claim=claim, because=f"{VARIABLE}{name}", is_parked=True)
        if not claim.has_budget:
            return None
        most = highest_cost(kind, config, provider, variables, self._largest_of(claim), tokens_again(misfits))
        is_held = self.hold(claim, most) if most else True
        if is_held is None:
            return Released(claim=claim, because="released")
        return None if is_held else Released(claim=claim, because="budget", is_parked=True, needs=most)

    def noted(self, claim: Claim, usage: Usage | None) -> Usage | None:
        """A usage, once it is noted how large the answers of its step are."""
        if usage is not None and claim.has_budget and usage.output_tokens:
            step = self.step(claim.template_id, claim.node)
            self._largest.put(step, max(usage.output_tokens, self._largest.get(step) or 0))
        return usage

    def _largest_of(self, claim: Claim) -> int:
        """The largest answer of a claim's step so far; a worker that has seen none looks once for what others have."""
        step = self.step(claim.template_id, claim.node)
        known = self._largest.get(step)
        if known is None:
            known = self.largest(claim)
            self._largest.put(step, known)
        return known

    def _missing_key(self, provider: str, claim: Claim, variables: Mapping[str, str]) -> str | None:
        """The variable of a key that is gone with what the run's kernel had lent: this worker's own would be another's."""
        names = key_variables(provider)
        if self.kernels is None or not names or any(variables.get(name, "").strip() for name in names):
            return None
        return names[0] if self.kernels.lacks(claim.execution_id) else None
