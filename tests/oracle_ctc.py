"""Connectionist temporal classification, naively: all alignments one by one, and the textbook's program in mpmath."""

import itertools

import mpmath
import numpy as np


def collapsed(path, blank):
    """What an alignment says: repeats merged, then blanks dropped."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def alignments(frames, classes, labels, blank):
    """Every alignment of the labels, as a sequence of one class a frame."""
    return [
        path for path in itertools.product(range(classes), repeat=frames) if collapsed(path, blank) == tuple(labels)
    ]


def by_enumeration(log_probs, labels, blank=0):
    """(loss, expected visits of each class in each frame) of one sample of (T, C)."""
    frames, classes = log_probs.shape
    weights, visits = [], np.zeros((frames, classes))
    for path in alignments(frames, classes, labels, blank):
        weight = np.exp(sum(log_probs[t, c] for t, c in enumerate(path)))
        weights.append(weight)
        for t, c in enumerate(path):
            visits[t, c] += weight
    total = sum(weights)
    if total == 0:
        return np.inf, visits
    return -np.log(total), visits / total


def extended(labels, blank):
    """A blank, the first label, a blank, the second, ..., a blank."""
    states = [blank]
    for label in labels:
        states += [label, blank]
    return states


def _may_skip(states, s):
    return s >= 2 and states[s] != states[s - 2] and s % 2 == 1


def by_program(log_probs, labels, blank=0, digits=30):
    """(loss, occupancies of the 2 S + 1 states in each frame) of one sample; the loss is a number of mpmath."""
    frames = len(log_probs)
    states = extended([int(label) for label in labels], blank)
    with mpmath.workdps(digits):
        p = [[mpmath.exp(mpmath.mpf(float(log_probs[t][c]))) for c in states] for t in range(frames)]
        count = len(states)
        zero, one = mpmath.mpf(0), mpmath.mpf(1)
        if frames == 0:
            return (0.0 if count == 1 else np.inf), np.zeros((0, count))
        alpha = [[zero] * count for _ in range(frames)]
        for t in range(frames):
            for s in range(count):
                if t == 0:
                    total = one if s < 2 else zero
                else:
                    before = alpha[t - 1]
                    total = before[s] + (before[s - 1] if s else zero)
                    if _may_skip(states, s):
                        total += before[s - 2]
                alpha[t][s] = total * p[t][s]
        beta = [zero] * count
        for s in (count - 1, count - 2):
            if s >= 0:
                beta[s] = one
        whole = sum(alpha[-1][s] * beta[s] for s in range(count))
        if whole == 0:
            return np.inf, np.zeros((frames, count))
        occupancies = np.zeros((frames, count))
        for t in range(frames - 1, -1, -1):
            for s in range(count):
                occupancies[t, s] = float(alpha[t][s] * beta[s] / whole)
            back = [beta[s] * p[t][s] for s in range(count)]
            beta = [
                back[s]
                + (back[s + 1] if s + 1 < count else zero)
                + (back[s + 2] if s + 2 < count and _may_skip(states, s + 2) else zero)
                for s in range(count)
            ]
        return -mpmath.log(whole), occupancies


def log_softmax(logits):
    """In float64, or in mpmath where the logits need it."""
    logits = np.asarray(logits, np.float64)
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def visits_of(occupancies, labels, classes, blank=0):
    """Expected visits of each class in each frame, from those of each state."""
    visits = np.zeros((len(occupancies), classes))
    for s, label in enumerate(extended([int(label) for label in labels], blank)):
        visits[:, label] += occupancies[:, s]
    return visits
