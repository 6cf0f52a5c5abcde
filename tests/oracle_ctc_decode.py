"""Alignment and decoding by trying everything: all paths of a few frames, all prefixes of a beam, in plain Python.

Log-probabilities of one sample come as an array (T, C), and everything is added up in float64.
"""

import itertools
import math

import numpy as np


def collapsed(path, blank):
    """The labels of a path: repeats merged, then blanks dropped."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def score_of(path, log_probs):
    total = 0.0
    for t, label in enumerate(path):
        total += float(log_probs[t, label])
    return total


def paths(log_probs):
    frames, classes = log_probs.shape
    return itertools.product(range(classes), repeat=frames)


def sequences(log_probs, blank):
    """The log-probability of every label sequence that has one above 0, the best first."""
    terms = {}
    for path in paths(log_probs):
        score = score_of(path, log_probs)
        if score > -math.inf:
            terms.setdefault(collapsed(path, blank), []).append(score)
    found = {labels: float(np.logaddexp.reduce(scores)) for labels, scores in terms.items()}
    return sorted(found.items(), key=lambda item: -item[1])


def states(path, blank):
    """Where each frame of a path stands in blank, label 0, blank, label 1, ..., blank."""
    place, before, found = 0, blank, []
    for label in path:
        if label == blank:
            place += place % 2
        elif label != before or place % 2 == 0:
            place += 1 if place % 2 == 0 else 2
        found.append(place)
        before = label
    return found


def alignment(log_probs, target, blank):
    """The best path of a target; of equal ones, that which is late to leave its states, seen from the end.

    The last state is the lower one (a label before a blank); before it, each is the highest there is.
    """

    def order(path):
        last, *earlier = reversed(states(path, blank))
        return (-score_of(path, log_probs), last, [-state for state in earlier])

    fitting = (path for path in paths(log_probs) if collapsed(path, blank) == tuple(target))
    return min(fitting, key=order)


def frames_needed(target):
    """The fewest frames in which a path becomes the target, by trying: labels with blanks (-1) wherever needed."""
    path = []
    for label in target:
        if path and path[-1] == label:
            path.append(-1)
        path.append(label)
    return len(path)


def log_sum(terms):
    top = max(terms, default=-math.inf)
    return top if top == -math.inf else top + math.log(math.fsum(math.exp(term - top) for term in terms))


def prefix_search(log_probs, blank, beam):
    """Prefix beam search with dictionaries: (labels, log-probability) of the final beam, the best first."""
    found = {(): (0.0, -math.inf)}  # ending in a blank, ending in the last label
    for row in np.asarray(log_probs, np.float64).tolist():
        terms = {}
        for prefix, (in_blank, in_label) in found.items():
            total = log_sum((in_blank, in_label))
            terms.setdefault(prefix, ([], []))[0].append(total + row[blank])
            for c, y in enumerate(row):
                if c == blank:
                    continue
                repeats = bool(prefix) and prefix[-1] == c
                if repeats:
                    terms.setdefault(prefix, ([], []))[1].append(in_label + y)
                terms.setdefault((*prefix, c), ([], []))[1].append((in_blank if repeats else total) + y)
        scores = {prefix: tuple(map(log_sum, parts)) for prefix, parts in terms.items()}
        ranked = sorted(scores, key=lambda prefix: -log_sum(scores[prefix]))
        found = {prefix: scores[prefix] for prefix in ranked[:beam] if max(scores[prefix]) > -math.inf}
    return [(prefix, log_sum(scores)) for prefix, scores in found.items()]
