"""A model reduced to what methods need: own loops solved for, groups as one node, nodes in the order of sweeps.

    q(pair) = reward[pair] + sum_k weight_k v(to_k)          v(node) = max over its pairs

Node i owns the pairs [first_pair[i], first_pair[i + 1]) and pair j the outcomes [offsets[j], offsets[j + 1]). An action
taken until the state is left collects r / (1 - gamma p) where p is the chance to stay (Puterman 1994, section 6.3.3),
so no outcome leads to its own node; the sums of weights are at most 1 and leak[pair] is what they lack, added up
without a subtraction. A backup is computed as

    v + max over the pairs of reward - leak v + sum_k weight_k (v(to_k) - v),

so that where values are equal all around no rounding moves them, however long an episode lasts. Because nodes lie in
the order of the sweep, a sweep reads memory from one end to the other.

    reduced, by_distance                build the form, in a given order or in the order in which news travels
    renumbered                          the same nodes in another order
    sweep, residuals                    one sweep in place; how much it would change each node
    improve, sweep_chosen               a policy made greedy in place; a sweep of that policy alone
    predecessors, outwards              edges backwards; breadth first from where episodes end
    components                          strongly connected components, those that others lead to first (Tarjan 1972)
    level_starts, march                 sweeps over a window of levels of nodes
    reaches_end                         the nodes from which a policy may end the episode
    chain                               the Markov chain under a policy
"""

import math

import numpy as np
from numba import njit

from rlgrid.kernels.ordered import NEARLY


@njit(cache=True, nogil=True, error_model="numpy")
def _counts(states, starts, number, stays, num_actions, offsets, next_state, probability, terminated, gamma):
    """(pairs, outcomes) of the reduced form.

    Args:
        states, starts: the states of node i are states[starts[i]:starts[i + 1]].
        number: int64 [S], the node of each state, -1 where it has none (nothing may lead there).
        stays: bool [n]: resting there for ever, at no cost, is one pair more.
    """
    pairs = 0
    outcomes = 0
    for i in range(starts.size - 1):
        pairs += stays[i]
        for j in range(starts[i], starts[i + 1]):
            for a in range(num_actions):
                pair = states[j] * num_actions + a
                moving = False
                onward = 0
                for k in range(offsets[pair], offsets[pair + 1]):
                    if probability[k] > 0.0:
                        here = not terminated[k] and number[next_state[k]] == i
                        moving = moving or gamma < 1.0 or not here
                        onward += not here and not terminated[k]
                if moving:
                    pairs += 1
                    outcomes += onward
    return pairs, outcomes


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    states,
    starts,
    number,
    stays,
    num_actions,
    offsets,
    next_state,
    probability,
    given_reward,
    terminated,
    gamma,
    first_pair,
    to_offsets,
    to,
    weight,
    reward,
    leak,
):
    """Fill the reduced form: of each node the pairs of its states, in their order, and then the one to stay."""
    j = 0
    n = 0
    first_pair[0] = 0
    to_offsets[0] = 0
    for i in range(starts.size - 1):
        for m in range(starts[i], starts[i + 1]):
            for a in range(num_actions):
                pair = states[m] * num_actions + a
                total = 0.0
                here = 0.0
                elsewhere = 0.0
                ends = 0.0
                for k in range(offsets[pair], offsets[pair + 1]):
                    p = probability[k]
                    total += p * given_reward[k]
                    if terminated[k]:
                        ends += p
                    elif number[next_state[k]] == i:
                        here += p
                    else:
                        elsewhere += p
                divisor = ends + elsewhere + (1.0 - gamma) * here
                if not divisor > 0.0:
                    continue
                for k in range(offsets[pair], offsets[pair + 1]):
                    if probability[k] > 0.0 and not terminated[k] and number[next_state[k]] != i:
                        to[n] = number[next_state[k]]
                        weight[n] = gamma * probability[k] / divisor
                        n += 1
                reward[j] = total / divisor
                leak[j] = (ends + (1.0 - gamma) * (elsewhere + here)) / divisor
                j += 1
                to_offsets[j] = n
        if stays[i]:
            reward[j] = 0.0
            leak[j] = 1.0
            j += 1
            to_offsets[j] = n
        first_pair[i + 1] = j


@njit(cache=True, nogil=True, error_model="numpy")
def reduced(states, starts, number, stays, num_actions, offsets, next_state, probability, reward, terminated, gamma):
    """The reduced form (first_pair, offsets, to, weight, reward, leak, ends) of the nodes that `_counts` describes.

    ends [n]: where an episode may end at once (or, at gamma = 1, stay for ever).
    """
    n = starts.size - 1
    pairs, outcomes = _counts(
        states, starts, number, stays, num_actions, offsets, next_state, probability, terminated, gamma
    )
    first_pair = np.empty(n + 1, np.int64)
    to_offsets = np.empty(pairs + 1, np.int64)
    to = np.empty(outcomes, np.int32)
    weight = np.empty(outcomes)
    pays = np.empty(pairs)
    leak = np.empty(pairs)
    _fill(
        states,
        starts,
        number,
        stays,
        num_actions,
        offsets,
        next_state,
        probability,
        reward,
        terminated,
        gamma,
        first_pair,
        to_offsets,
        to,
        weight,
        pays,
        leak,
    )
    ends = stays.copy()
    for i in range(n):
        for m in range(starts[i], starts[i + 1]):
            for k in range(offsets[states[m] * num_actions], offsets[(states[m] + 1) * num_actions]):
                ends[i] |= terminated[k] and probability[k] > 0.0
    return first_pair, to_offsets, to, weight, pays, leak, ends


@njit(cache=True, nogil=True, error_model="numpy")
def renumbered(first_pair, offsets, to, weight, reward, leak, ends, order):
    """(the form with its nodes in another ``order`` [n], the place of each node in it [n])."""
    n = order.size
    place = np.empty(n, np.int64)
    for i in range(n):
        place[order[i]] = i
    new_first = np.empty_like(first_pair)
    new_offsets = np.empty_like(offsets)
    new_to = np.empty_like(to)
    new_weight = np.empty_like(weight)
    new_reward = np.empty_like(reward)
    new_leak = np.empty_like(leak)
    new_ends = np.empty_like(ends)
    new_first[0] = 0
    new_offsets[0] = 0
    j = 0
    k = 0
    for i in range(n):
        node = order[i]
        new_ends[i] = ends[node]
        for pair in range(first_pair[node], first_pair[node + 1]):
            new_reward[j] = reward[pair]
            new_leak[j] = leak[pair]
            for outcome in range(offsets[pair], offsets[pair + 1]):
                new_to[k] = place[to[outcome]]
                new_weight[k] = weight[outcome]
                k += 1
            j += 1
            new_offsets[j] = k
        new_first[i + 1] = j
    return (new_first, new_offsets, new_to, new_weight, new_reward, new_leak, new_ends), place


@njit(cache=True, nogil=True, error_model="numpy")
def by_distance(
    states, starts, number, stays, num_actions, offsets, next_state, probability, reward, terminated, gamma
):
    """(`reduced` in the order of `outwards`, the place of each node in it [n]).

    What is left begins at the nodes that pay most a step, whether or not an action's own loop was solved for.
    """
    form = reduced(
        states, starts, number, stays, num_actions, offsets, next_state, probability, reward, terminated, gamma
    )
    first_pair, to_offsets, to, _, pays, leak, ends = form
    n = ends.size
    begins = np.zeros(n + 2, np.int64)  # edges backwards, one for each outcome
    for i in range(n):
        for k in range(to_offsets[first_pair[i]], to_offsets[first_pair[i + 1]]):
            begins[to[k] + 2] += 1
    for i in range(n):
        begins[i + 2] += begins[i + 1]
    tails = np.empty(to.size, np.int32)
    for i in range(n):
        for k in range(to_offsets[first_pair[i]], to_offsets[first_pair[i + 1]]):
            tails[begins[to[k] + 1]] = i
            begins[to[k] + 1] += 1
    order = outwards(first_pair, ends, begins, tails, np.empty(0, np.int64))
    if order.size < n:
        loss = np.empty(n)
        for i in range(n):
            loss[i] = math.inf
            for j in range(first_pair[i], first_pair[i + 1]):
                loss[i] = min(loss[i], -pays[j] / leak[j] if gamma < 1.0 else -pays[j])
        order = outwards(first_pair, ends, begins, tails, np.argsort(loss, kind="mergesort"))
    return renumbered(*form, order)


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(first_pair, offsets, to, weight, reward, leak, v, first, last, backwards):
    """One sweep in place over the nodes [first, last), or against their order; (least, greatest) change, 0 if none."""
    low = 0.0
    high = 0.0
    for n in range(last - first):
        i = last - 1 - n if backwards else first + n
        here = v[i]
        best = -math.inf
        for j in range(first_pair[i], first_pair[i + 1]):
            gain = reward[j] - leak[j] * here
            for k in range(offsets[j], offsets[j + 1]):
                gain += weight[k] * (v[to[k]] - here)
            best = max(best, gain)
        v[i] = here + best
        low = min(low, v[i] - here)  # what is lost in the last digit is no change: sweeps come to rest
        high = max(high, v[i] - here)
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def run_in_place(first_pair, offsets, to, weight, reward, leak, v, turns, done, limit, enough, history):
    """Up to ``limit`` sweeps over all nodes, the other way round each second time if ``turns``; how many were made."""
    for n in range(limit):
        low, high = sweep(
            first_pair, offsets, to, weight, reward, leak, v, 0, first_pair.size - 1, turns and (done + n) % 2 == 1
        )
        history[n] = high - low
        if not enough < history[n] < math.inf:
            return n + 1
    return limit


@njit(cache=True, nogil=True, error_model="numpy")
def residuals(first_pair, offsets, to, weight, reward, leak, v, w):
    """w [n] becomes how much a backup of each node would change it."""
    for i in range(first_pair.size - 1):
        here = v[i]
        best = -math.inf
        for j in range(first_pair[i], first_pair[i + 1]):
            gain = reward[j] - leak[j] * here
            for k in range(offsets[j], offsets[j + 1]):
                gain += weight[k] * (v[to[k]] - here)
            best = max(best, gain)
        w[i] = best


@njit(cache=True, nogil=True, error_model="numpy")
def improve(first_pair, offsets, to, weight, reward, leak, v, choice, slack):
    """Make a policy greedy in one sweep in place: (least, greatest change of v, how many choices changed).

    choice[i] is a pair of node i, or -1 for none yet. It changes only for one better by more than ``slack``.
    """
    low = 0.0
    high = 0.0
    changed = 0
    for i in range(first_pair.size - 1):
        here = v[i]
        best = -math.inf
        held = -math.inf
        chosen = -1
        for j in range(first_pair[i], first_pair[i + 1]):
            gain = reward[j] - leak[j] * here
            for k in range(offsets[j], offsets[j + 1]):
                gain += weight[k] * (v[to[k]] - here)
            if j == choice[i]:
                held = gain
            if chosen < 0 or gain > best:
                best = gain
                chosen = j
        if best > held + slack:
            choice[i] = chosen
            changed += 1
            held = best
        v[i] = here + held
        low = min(low, v[i] - here)
        high = max(high, v[i] - here)
    return low, high, changed


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_chosen(offsets, to, weight, reward, leak, choice, v, backwards):
    """One sweep in place of a policy alone; (least, greatest) change, 0 if none."""
    low = 0.0
    high = 0.0
    for n in range(v.size):
        i = v.size - 1 - n if backwards else n
        here = v[i]
        j = choice[i]
        gain = reward[j] - leak[j] * here
        for k in range(offsets[j], offsets[j + 1]):
            gain += weight[k] * (v[to[k]] - here)
        v[i] = here + gain
        low = min(low, v[i] - here)
        high = max(high, v[i] - here)
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def predecessors(first_pair, offsets, to, weight):
    """Edges backwards, each once: (starts [n + 1], from [E], the greatest weight of any action [E])."""
    n = first_pair.size - 1
    seen = np.full(n, -1, np.int64)
    starts = np.zeros(n + 2, np.int64)
    for i in range(n):
        for k in range(offsets[first_pair[i]], offsets[first_pair[i + 1]]):
            if seen[to[k]] != i:
                seen[to[k]] = i
                starts[to[k] + 2] += 1
    for i in range(n):
        starts[i + 2] += starts[i + 1]
    seen[:] = -1
    tails = np.empty(starts[n + 1], np.int32)
    most = np.zeros(starts[n + 1])
    for i in range(n):
        for j in range(first_pair[i], first_pair[i + 1]):
            for k in range(offsets[j], offsets[j + 1]):
                total = weight[k]
                for other in range(offsets[j], k):  # an action may have several outcomes that lead to the same node
                    if to[other] == to[k]:
                        total += weight[other]
                if seen[to[k]] != i:
                    seen[to[k]] = i
                    tails[starts[to[k] + 1]] = i
                    starts[to[k] + 1] += 1
                place = starts[to[k] + 1] - 1
                most[place] = max(most[place], total)
    return starts[: n + 1].copy(), tails, most


@njit(cache=True, nogil=True, error_model="numpy")
def outwards(first_pair, ends, starts, tails, by_reward):
    """int64 [n]: the nodes in the order in which news travels: breadth first along edges backwards.

    It begins at the nodes where an episode may end; what is left begins at nodes in the order ``by_reward``, or is left
    out where that is empty.
    """
    n = first_pair.size - 1
    order = np.empty(n, np.int64)
    found = np.zeros(n, np.bool_)
    head = 0
    tail = 0
    for i in range(n):
        if ends[i]:
            found[i] = True
            order[tail] = i
            tail += 1
    place = 0
    while True:
        while head < tail:
            i = order[head]
            head += 1
            for k in range(starts[i], starts[i + 1]):
                if not found[tails[k]]:
                    found[tails[k]] = True
                    order[tail] = tails[k]
                    tail += 1
        while place < by_reward.size and found[by_reward[place]]:
            place += 1
        if place == by_reward.size:
            return order[:tail].copy()
        found[by_reward[place]] = True
        order[tail] = by_reward[place]
        tail += 1


@njit(cache=True, nogil=True, error_model="numpy")
def components(first_pair, offsets, to):
    """int64 [n]: the strongly connected component of each node, numbered so that every edge leads to a lower number
    or stays inside (Tarjan 1972, without recursion)."""
    n = first_pair.size - 1
    label = np.full(n, -1, np.int64)
    index = np.full(n, -1, np.int64)
    low = np.zeros(n, np.int64)
    at = np.zeros(n, np.int64)  # the edge that comes next
    stack = np.empty(n, np.int64)
    path = np.empty(n, np.int64)
    held = 0
    depth = 0
    count = 0
    found = 0
    for root in range(n):
        if index[root] >= 0:
            continue
        path[0] = root
        depth = 1
        while depth > 0:
            i = path[depth - 1]
            if index[i] < 0:
                index[i] = count
                low[i] = count
                count += 1
                stack[held] = i
                held += 1
                at[i] = offsets[first_pair[i]]
            down = -1
            last = offsets[first_pair[i + 1]]
            while at[i] < last:
                k = to[at[i]]
                at[i] += 1
                if index[k] < 0:
                    down = k
                    break
                if label[k] < 0:
                    low[i] = min(low[i], index[k])
            if down >= 0:
                path[depth] = down
                depth += 1
                continue
            if low[i] == index[i]:
                while True:
                    held -= 1
                    label[stack[held]] = found
                    if stack[held] == i:
                        break
                found += 1
            depth -= 1
            if depth > 0:
                low[path[depth - 1]] = min(low[path[depth - 1]], low[i])
    return label


@njit(cache=True, nogil=True, error_model="numpy")
def reaches_end(offsets, to, leak, choice, starts, tails):
    """bool [n]: whether the policy can leave the model from each node, in any number of steps."""
    n = choice.size
    reached = np.zeros(n, np.bool_)
    queue = np.empty(n, np.int64)
    tail = 0
    for i in range(n):
        if leak[choice[i]] > 0.0:
            reached[i] = True
            queue[tail] = i
            tail += 1
    head = 0
    while head < tail:
        i = queue[head]
        head += 1
        for e in range(starts[i], starts[i + 1]):
            before = tails[e]
            if not reached[before]:
                for k in range(offsets[choice[before]], offsets[choice[before] + 1]):
                    if to[k] == i:
                        reached[before] = True
                        queue[tail] = before
                        tail += 1
                        break
    return reached


@njit(cache=True, nogil=True, error_model="numpy")
def nearer(first_pair, offsets, to, leak, rank, choice):
    """choice [n] becomes the first pair of each node that may end the episode or lead to a node of lower rank."""
    for i in range(first_pair.size - 1):
        choice[i] = first_pair[i]
        found = False
        for j in range(first_pair[i], first_pair[i + 1]):
            found = leak[j] > 0.0
            for k in range(offsets[j], offsets[j + 1]):
                found = found or rank[to[k]] < rank[i]
            if found:
                choice[i] = j
                break


@njit(cache=True, nogil=True, error_model="numpy")
def chain(offsets, to, weight, choice):
    """The outcomes of a policy: (starts [n + 1], to, weight)."""
    n = choice.size
    starts = np.zeros(n + 1, np.int32)
    for i in range(n):
        starts[i + 1] = starts[i] + offsets[choice[i] + 1] - offsets[choice[i]]
    heads = np.empty(starts[n], np.int32)
    weights = np.empty(starts[n])
    for i in range(n):
        at = starts[i]
        for k in range(offsets[choice[i]], offsets[choice[i] + 1]):
            heads[at] = to[k]
            weights[at] = weight[k]
            at += 1
    return starts, heads, weights


@njit(cache=True, nogil=True, error_model="numpy")
def run_components(first_pair, offsets, to, weight, reward, leak, starts, v, at, enough, budget):
    """Solve components one after the other by sweeps in place, from the one numbered ``at``, with so many backups.

    A component of one node takes one backup, any other is swept to and fro until the spread of a sweep is at most
    ``enough``. Returns (the component to go on with, backups of nodes, backups of pairs).
    """
    used = 0
    pairs = 0
    while at < starts.size - 1:
        first = starts[at]
        last = starts[at + 1]
        turn = 0
        while True:
            if used >= budget:
                return at, used, pairs
            low, high = sweep(first_pair, offsets, to, weight, reward, leak, v, first, last, turn % 2 == 1)
            turn += 1
            used += last - first
            pairs += first_pair[last] - first_pair[first]
            if last == first + 1 or not high - low > enough:
                break
        at += 1
    return at, used, pairs


@njit(cache=True, nogil=True, error_model="numpy")
def probe(first_pair, offsets, to, weight, reward, leak, starts, v, enough, probes, budget):
    """(sweeps that `run_components` may take for a node, on average over some nodes; backups of pairs).

    Those are ``probes`` nodes at even distances, v is changed in their components. Each is swept until its spread is at
    most ``enough``, or else with as many backups as ``budget``, from which it is reckoned how long it would take.
    """
    total = 0.0
    pairs = 0
    for i in range(probes):
        at = np.searchsorted(starts, (2 * i + 1) * v.size // (2 * probes), side="right") - 1
        first = starts[at]
        last = starts[at + 1]
        most = max(2, int(budget / (last - first)))
        begun = math.inf
        turn = 0
        while True:
            low, high = sweep(first_pair, offsets, to, weight, reward, leak, v, first, last, turn % 2 == 1)
            turn += 1
            pairs += first_pair[last] - first_pair[first]
            if last == first + 1 or not high - low > enough:
                total += turn
                break
            if turn == 1:
                begun = high - low
            if turn >= most:
                fallen = math.log(begun / (high - low)) / (turn - 1)
                total += math.log(begun / enough) / fallen if fallen > 0.0 else math.inf
                break
    return total / probes, pairs


@njit(cache=True, nogil=True, error_model="numpy")
def follow_paths(offsets, to, weight, reward, leak, choice, v):
    """The exact value of a policy under which every node has one successor or none; False where a path never ends.

    Paths end at a node without successor or run into a cycle, on which v = (rewards of a round) / (1 - weights of a
    round), where 1 - w1 w2 w3 = leak1 + w1 leak2 + w1 w2 leak3 loses no digits.
    """
    n = v.size
    state = np.zeros(n, np.int8)  # 0 new, 1 on the present path, 2 done
    path = np.empty(n, np.int64)
    for root in range(n):
        if state[root] != 0:
            continue
        length = 0
        i = root
        while state[i] == 0:
            state[i] = 1
            path[length] = i
            length += 1
            j = choice[i]
            if offsets[j] == offsets[j + 1]:
                break
            i = to[offsets[j]]
        last = choice[path[length - 1]]
        if offsets[last] < offsets[last + 1] and state[i] == 1:  # a cycle through i
            total = 0.0
            product = 1.0
            lost = 0.0
            k = i
            while True:
                j = choice[k]
                total += product * reward[j]
                lost += product * leak[j]
                product *= weight[offsets[j]]
                k = to[offsets[j]]
                if k == i:
                    break
            if not lost > 0.0:
                return False
            v[i] = total / lost
            state[i] = 2
        while length > 0:
            length -= 1
            k = path[length]
            if state[k] != 2:
                j = choice[k]
                q = reward[j]
                if offsets[j] < offsets[j + 1]:
                    q += weight[offsets[j]] * v[to[offsets[j]]]
                v[k] = q
                state[k] = 2
    return True


# --- a linear system under a policy ---------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _apply(starts, to, weight, x, y):
    """y = (I - W) x."""
    for i in range(x.size):
        total = x[i]
        for k in range(starts[i], starts[i + 1]):
            total -= weight[k] * x[to[k]]
        y[i] = total


@njit(cache=True, nogil=True, error_model="numpy")
def _precondition(starts, to, weight, x, y):
    """y = (I - U)^-1 (I - L)^-1 x, L and U what leads to lower and to higher numbers: symmetric Gauss-Seidel."""
    n = x.size
    for i in range(n):
        total = x[i]
        for k in range(starts[i], starts[i + 1]):
            if to[k] < i:
                total += weight[k] * y[to[k]]
        y[i] = total
    for m in range(n):
        i = n - 1 - m
        total = y[i]
        for k in range(starts[i], starts[i + 1]):
            if to[k] > i:
                total += weight[k] * y[to[k]]
        y[i] = total


@njit(cache=True, nogil=True, error_model="numpy")
def _dot(x, y):
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _greatest(x):
    most = 0.0
    for i in range(x.size):
        most = max(most, abs(x[i]))
    return most


@njit(cache=True, nogil=True, error_model="numpy")
def bicgstab(starts, to, weight, right, x, enough, limit):
    """x towards (I - W) x = right by BiCGSTAB (van der Vorst 1992), preconditioned from the right by symmetric
    Gauss-Seidel; x becomes the best iterate. Ends when max |residual| <= ``enough``, after ``limit`` rounds or where
    the recurrences break down. Returns (max |residual| as the recurrence has it, rounds)."""
    n = x.size
    r = np.empty(n)
    _apply(starts, to, weight, x, r)
    for i in range(n):
        r[i] = right[i] - r[i]
    shadow = r.copy()
    p = r.copy()
    p_hat = np.empty(n)
    s_hat = np.empty(n)
    u = np.empty(n)
    t = np.empty(n)
    rho = _dot(shadow, r)
    best = x.copy()
    least = _greatest(r)
    rounds = 0
    while least > enough and rounds < limit:
        rounds += 1
        _precondition(starts, to, weight, p, p_hat)
        _apply(starts, to, weight, p_hat, u)
        alpha = rho / _dot(shadow, u)
        if not math.isfinite(alpha):
            break
        for i in range(n):
            r[i] -= alpha * u[i]
        _precondition(starts, to, weight, r, s_hat)
        _apply(starts, to, weight, s_hat, t)
        size = _dot(t, t)
        omega = _dot(t, r) / size if size > 0.0 else 0.0
        for i in range(n):
            x[i] += alpha * p_hat[i] + omega * s_hat[i]
            r[i] -= omega * t[i]
        now = _greatest(r)
        if not math.isfinite(now):
            break
        if now < least:
            least = now
            for i in range(n):
                best[i] = x[i]
        following = _dot(shadow, r)
        beta = following / rho * (alpha / omega)
        rho = following
        if not math.isfinite(beta) or omega == 0.0:
            break
        for i in range(n):
            p[i] = r[i] + beta * (p[i] - omega * u[i])
    for i in range(n):
        x[i] = best[i]
    return least, rounds


@njit(cache=True, nogil=True, error_model="numpy")
def guess(first_pair, offsets, to, weight, reward, leak, discounted):
    """float64 [n]: values to begin with, each from those of the nodes before it.

    What a pair leads to later in the order is counted as if it came back if at least half of the pair is known or
    without discounting, and otherwise as what is worth least: a policy that never loses more than -low (1 - gamma) a
    step is worth low at least. In the order of distance, along which values come, that is often near.
    """
    n = first_pair.size - 1
    v = np.empty(n)
    low = math.inf if discounted else -math.inf
    if discounted:
        for i in range(n):
            best = -math.inf
            for j in range(first_pair[i], first_pair[i + 1]):
                best = max(best, reward[j] / leak[j])
            low = min(low, best)
    for i in range(n):
        best = low
        for j in range(first_pair[i], first_pair[i + 1]):
            total = reward[j]
            known = leak[j]
            unknown = 0.0
            for k in range(offsets[j], offsets[j + 1]):
                if to[k] < i:
                    total += weight[k] * v[to[k]]
                    known += weight[k]
                else:
                    unknown += weight[k]
            if known >= unknown or (low == -math.inf and known > 0.0):
                best = max(best, total / known)
            elif low > -math.inf:
                best = max(best, total + unknown * low)
        v[i] = best if best > -math.inf else 0.0
    return v


@njit(cache=True, nogil=True, error_model="numpy")
def level_starts(first_pair, offsets, to):
    """Where the levels of an order by distance begin, [levels + 1]: one more than the nearest node that is led to."""
    nodes = first_pair.size - 1
    level = np.zeros(nodes + 1, np.int64)
    starts = np.zeros(nodes + 1, np.int64)
    levels = 0
    for i in range(nodes):
        nearest = nodes
        for k in range(offsets[first_pair[i]], offsets[first_pair[i + 1]]):
            if to[k] < i:
                nearest = min(nearest, level[to[k]])
        level[i] = nearest + 1 if nearest < nodes else 0
        if i == 0 or level[i] > level[i - 1]:
            starts[levels] = i
            levels += 1
        else:
            level[i] = level[i - 1]  # levels never fall: what the order lets come late counts as late
    starts[levels] = nodes
    return starts[: levels + 1].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def march(first_pair, offsets, to, weight, reward, leak, starts, settled, window, changes, budget, v):
    """Sweeps over a window of levels that moves on as its first ones settle: `rlgrid.kernels.ordered.march`.

    Returns the spread of the changes in the last pass.
    """
    levels = starts.size - 1
    swept = 0
    spread = 0.0
    if window[1] == 0:
        changes[:] = math.inf
    while window[0] < levels and swept < budget:
        window[1] = min(window[1] + 1, levels)
        low = 0.0
        high = 0.0
        for level in range(window[0], window[1]):
            fall, rise = sweep(
                first_pair, offsets, to, weight, reward, leak, v, starts[level], starts[level + 1], False
            )
            changes[level] = max(rise, -fall)
            low = min(low, fall)
            high = max(high, rise)
        swept += starts[window[1]] - starts[window[0]]
        spread = high - low
        while window[0] < window[1] and changes[window[0]] <= settled:
            # The next level has been swept since, and what it moved by must not move this one again.
            if window[0] + 1 < levels and not changes[window[0] + 1] <= NEARLY * settled:
                break
            window[0] += 1
    return spread


@njit(cache=True, nogil=True, error_model="numpy")
def guess_and_levels(first_pair, offsets, to, weight, reward, leak, discounted):
    """What marching begins with: `guess` and `level_starts`."""
    v = guess(first_pair, offsets, to, weight, reward, leak, discounted)
    return v, level_starts(first_pair, offsets, to)


@njit(cache=True, nogil=True, error_model="numpy")
def run_marching(first_pair, offsets, to, weight, reward, leak, v, starts, window, changes, settled, enough, history):
    """Windows of levels (`march`) until all have settled, then sweeps over all nodes (`run_in_place`).

    As many as there is room for in ``history``; returns how many were made.
    """
    made = 0
    while made < history.size and window[0] < starts.size - 1:
        spread = march(
            first_pair, offsets, to, weight, reward, leak, starts, settled, window, changes, first_pair.size - 1, v
        )
        history[made] = max(spread, np.nextafter(enough, math.inf))  # only a sweep over all nodes can tell
        made += 1
        if not spread < math.inf:
            return made
    if made < history.size:
        rest = history[made:]
        made += run_in_place(first_pair, offsets, to, weight, reward, leak, v, False, 0, rest.size, enough, rest)
    return made
