"""Deep deterministic policy gradient (Lillicrap et al. 2015), a small version for searches for channels."""

import copy
from collections import deque

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 300
ACTOR_RATE, CRITIC_RATE = 1e-4, 1e-3
FOLLOW = 0.01  # rate at which the target networks follow the networks
BATCH = 64
BASELINE = 0.5  # weight of old rewards in the moving average


class DdpgAgent:
    """An actor and a critic for actions from 0 to 1; all steps of an episode have its reward, undiscounted.

    Parameters
    ----------
    states : length of the vector of a state
    memory : number of steps that are remembered
    draw : generator of the noise and the samples
    """

    def __init__(self, states: int, memory: int, draw: np.random.Generator) -> None:
        self._draw = draw
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(draw.integers(2**31)))
            self._actor = _network(states, nn.Sigmoid())
            self._critic = _network(states + 1, nn.Identity())
        self._slow_actor, self._slow_critic = copy.deepcopy(self._actor), copy.deepcopy(self._critic)
        self._actor_steps = torch.optim.Adam(self._actor.parameters(), ACTOR_RATE)
        self._critic_steps = torch.optim.Adam(self._critic.parameters(), CRITIC_RATE)
        self._memory: deque[tuple[list[float], float, float, list[float], float]] = deque(maxlen=memory)
        self._baseline: float | None = None

    def act(self, state: list[float], sigma: float) -> float:
        """Return the actor's choice with normal noise, drawn again until it lies between 0 and 1."""
        with torch.no_grad():
            mean = float(self._actor(torch.tensor([state], dtype=torch.float32)))
        for _ in range(100 if sigma > 0 else 0):
            if 0 <= (action := self._draw.normal(mean, sigma)) <= 1:
                return float(action)
        return mean

    def remember(self, steps: list[tuple[list[float], float]], reward: float) -> None:
        """Store the states and actions of an episode."""
        last = len(steps) - 1
        for i, (state, action) in enumerate(steps):
            following = steps[min(i + 1, last)][0]
            self._memory.append((state, action, reward, following, float(i < last)))

    def learn(self, updates: int) -> None:
        """Train on steps drawn from the memory."""
        for _ in range(updates):
            chosen = self._draw.integers(len(self._memory), size=min(BATCH, len(self._memory)))
            columns = zip(*(self._memory[i] for i in chosen), strict=True)
            state, action, reward, following, goes_on = (
                torch.tensor(each, dtype=torch.float32) for each in columns
            )
            mean = float(reward.mean())
            old = mean if self._baseline is None else self._baseline
            self._baseline = BASELINE * old + (1 - BASELINE) * mean
            self._update(state, action[:, None], reward - self._baseline, following, goes_on)

    def _update(
        self, state: Tensor, action: Tensor, reward: Tensor, following: Tensor, goes_on: Tensor
    ) -> None:
        with torch.no_grad():
            later = self._slow_critic(torch.cat([following, self._slow_actor(following)], dim=1))[:, 0]
            wanted = reward + goes_on * later
        with torch.enable_grad():
            value = self._critic(torch.cat([state, action], dim=1))[:, 0]
            _step(self._critic_steps, F.mse_loss(value, wanted))
            _step(self._actor_steps, -self._critic(torch.cat([state, self._actor(state)], dim=1)).mean())
        for slow, fast in ((self._slow_actor, self._actor), (self._slow_critic, self._critic)):
            for one, other in zip(slow.parameters(), fast.parameters(), strict=True):
                one.data.lerp_(other.data, FOLLOW)


def _network(inputs: int, last: nn.Module) -> nn.Sequential:
    layers = (
        nn.Linear(inputs, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, 1),
    )
    return nn.Sequential(*layers, last)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
