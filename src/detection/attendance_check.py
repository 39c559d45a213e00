#!/usr/bin/env python3
"""How well a client's own attendance predicts the next no-show, on public data (see RESULTS.md).

usage: attendance_check.py FOLDER    a folder with noshow_vitoria_ge5.csv (columns pid, AppointmentDay, No-show)

Rules, each knowing only earlier patient-days: the pooled rate; the last visit; the client's own Beta-Binomial
posterior about the pooled mean; and about two kinds of client. Constants are fitted on even patients and reported on
odd ones.
"""
import csv
import math
import sys
from collections import defaultdict


def read(folder):
    days = defaultdict(dict)
    with open(folder + "/noshow_vitoria_ge5.csv", newline="") as file:
        for row in csv.DictReader(file):
            missed = row["No-show"] == "Yes"
            day = row["AppointmentDay"]
            # several on one day are one visit: who came to one of them, came
            days[row["pid"]][day] = days[row["pid"]].get(day, True) and missed
    return {pid: [int(missed) for _, missed in sorted(of.items())] for pid, of in days.items()}


def rises(a, n):
    return sum(math.log(a + i) for i in range(n))


def marginal(visits, mean, weight):
    missed = sum(visits)
    kept = len(visits) - missed
    return rises(mean * weight, missed) + rises((1 - mean) * weight, kept) - rises(weight, len(visits))


def fit_one(clients):
    best = None
    for mean in [m / 100 for m in range(12, 36)]:
        for weight in [1, 1.5, 2, 3, 4, 5, 6, 8, 10, 14, 20, 30]:
            value = sum(marginal(v, mean, weight) for v in clients)
            if best is None or value > best[0]:
                best = (value, mean, weight)
    return best[1:]


def fit_two(clients):
    best = None
    for share in [0.1, 0.2, 0.3, 0.4]:
        for low in [0.1, 0.13, 0.16, 0.19, 0.22]:
            for high in [0.3, 0.4, 0.5, 0.6]:
                for weight in [4, 8, 16, 40]:
                    value = 0.0
                    for v in clients:
                        a = math.log(1 - share) + marginal(v, low, weight)
                        b = math.log(share) + marginal(v, high, weight)
                        value += max(a, b) + math.log1p(math.exp(-abs(a - b)))
                    if best is None or value > best[0]:
                        best = (value, share, low, high, weight)
    return best[1:]


def auc(scored):
    scored.sort()
    ranks, n = {}, 0
    total = positives = 0
    while n < len(scored):
        m = n
        while m < len(scored) and scored[m][0] == scored[n][0]:
            m += 1
        for k in range(n, m):
            if scored[k][1]:
                total += (n + m + 1) / 2
                positives += 1
        n = m
    negatives = len(scored) - positives
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def report(name, scored):
    loss = -sum(math.log(p if y else 1 - p) for p, y in scored) / len(scored)
    bins = defaultdict(list)
    for p, y in scored:
        bins[min(int(10 * p), 9)].append((p, y))
    error = sum(abs(sum(p for p, _ in b) - sum(y for _, y in b)) for b in bins.values()) / len(scored)
    print(f"{name:<44}{auc(list(scored)):>8.3f}{loss:>10.4f}{error:>12.4f}")


def main(folder):
    clients = read(folder)
    learn = [v for pid, v in clients.items() if int(pid) % 2 == 0]
    test = [v for pid, v in clients.items() if int(pid) % 2 == 1]
    mean, weight = fit_one(learn)
    share, low, high, both = fit_two(learn)
    pooled = sum(map(sum, learn)) / sum(map(len, learn))
    after = [[0, 0], [0, 0]]
    for v in learn:
        for last, now in zip(v, v[1:]):
            after[last][now] += 1
    print(f"{len(clients)} patients, {sum(map(len, clients.values()))} patient-days")
    print(f"one kind: mean {mean}, weight {weight}; two kinds: {low} and {high} (share {share}), weight {both}\n")
    print(f"{'rule':<44}{'AUC':>8}{'log-loss':>10}{'calibration':>12}")
    rules = {
        "pooled rate": lambda v: pooled,
        "last visit": lambda v: after[v[-1]][1] / sum(after[v[-1]]),
        "own Beta-Binomial posterior": lambda v: (sum(v) + mean * weight) / (len(v) + weight),
    }

    def two(v):
        a = math.log(1 - share) + marginal(v, low, both)
        b = math.log(share) + marginal(v, high, both)
        unreliable = 1 / (1 + math.exp(a - b))
        of = lambda mean: (sum(v) + mean * both) / (len(v) + both)
        return (1 - unreliable) * of(low) + unreliable * of(high)

    rules["own posterior, two kinds of client"] = two
    for name, rule in rules.items():
        report(name, [(rule(v[:n]), v[n]) for v in test for n in range(1, len(v))])


if len(sys.argv) != 2:
    sys.exit(__doc__)
main(sys.argv[1])
