"""The gradient step of a DQN that learns distributions of returns: C51 (Bellemare, Dabney & Munos 2017, algorithm 1).

The loop, acting and the memory are those of `rlgrid.kernels.dqn`, which calls the step by its address.
"""

from numba import njit

from rlgrid.kernels.activations import INSIDE
from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.distributions import entropy, fit, project
from rlgrid.kernels.dqn import descend, draw_batch, greedy_action
from rlgrid.kernels.losses import softmax
from rlgrid.kernels.network import backward, forward, output_slopes
from rlgrid.kernels.replay import state_of, update_priorities


@njit(**INSIDE)
def set_targets(learner, rule, q, logits):
    """The projected distributions of r + gamma z into network.targets, and their means into learner.targets.

    z is as the target network's ``logits`` [B, A * Z] have it for the action that is greedy by the means ``q`` [B, A].
    """
    network, drawn = learner.network, learner.batch
    atoms = network.atoms
    low, high = atoms[0], atoms[-1]
    if rule.clip_targets and rule.gamma < 1.0:
        # A sum of discounted rewards lies between these.
        low = min(max(low, learner.reward_range[0] / (1.0 - rule.gamma)), high)
        high = max(min(high, learner.reward_range[1] / (1.0 - rule.gamma)), low)
    for i in range(drawn.index.size):
        if drawn.next_masks.size > 0:
            following = greedy_action(q, i, drawn.next_masks, i)
        else:
            following = greedy_action(q, i, learner.available, state_of(drawn.next_observations, i))
        first = following * atoms.size
        softmax(logits[i, first : first + atoms.size], 1.0, network.probabilities)
        learner.targets[i] = project(
            network.probabilities, atoms, drawn.rewards[i], drawn.discount[i], low, high, network.targets[i]
        )


@njit(**INSIDE)
def distributional_step(learner, rule, t, stream):
    """One step of the optimiser on the weighted mean cross-entropy of a batch; False where a value is not finite.

    The action that targets follow is greedy by the online network's means in double Q-learning, else by the target
    network's. Priorities are Kullback-Leibler divergences (Hessel et al. 2018, Rainbow).
    """
    learner = borrow(learner)
    network, drawn = learner.network, learner.batch
    inner, atoms, batch = network.inner, network.atoms, drawn.index.size
    draw_batch(learner, rule, t, stream)
    chooser = network.theta if rule.double_q else learner.target
    q = forward(network, chooser, drawn.next_observations, network.work, False, stream)
    logits = forward(inner, learner.target, drawn.next_observations, network.deltas, False, stream)
    set_targets(learner, rule, q, logits)

    logits = forward(inner, network.theta, drawn.observations, network.work, True, stream)
    slopes, prioritised = output_slopes(inner, batch), learner.replay.tree.size > 0
    loss, absolute_error = 0.0, 0.0
    for i in range(batch):
        first = learner.replay.actions[drawn.index[i]] * atoms.size
        target, its_slopes = network.targets[i], network.probabilities
        its_loss, error = fit(logits[i, first : first + atoms.size], target, atoms, its_slopes)
        loss += drawn.weights[i] * its_loss
        absolute_error += abs(error)
        for j in range(slopes.shape[1]):
            slopes[i, j] = 0
        for z in range(atoms.size):
            slopes[i, first + z] = drawn.weights[i] * its_slopes[z] / batch
        learner.errors[i] = max(its_loss - entropy(target), 0.0) if prioritised else -error
        learner.td_error[state_of(drawn.observations, i)] = -error
    backward(inner, drawn.observations, True)
    if not descend(inner, learner.counters, learner.measures, rule, t, loss / batch, absolute_error / batch):
        return False
    if prioritised:
        update_priorities(learner.replay, drawn.index, learner.errors, rule.priority_alpha, rule.priority_eps)
    return True
