#!/usr/bin/env python3
"""Parts of the model that read scores, against public data: how noisy scores are and how far a client's level walks, what the
filter's surprise is worth, and whether a change of score precedes dropout. Standard library alone; FOLDER holds
rbmi_antidepressant.csv (HAMD-17), hsaur_BtheB.csv and cs_claus_2020.csv (BDI).

    python3 src/detection/scores_check.py FOLDER
"""

import csv
import math
import random
import sys

NOISE, WALK, DRIFT, DECAY = (6 / 2.77) ** 2, 1.0, 0.48, 6.0  # of constants.rs, u and slots


def rows(folder, name):
    with open(f"{folder}/{name}") as file:
        return list(csv.DictReader(file))


def number(text):
    return float(text) if text not in ("", "NA") else None


def courses(folder):
    """Name -> (planned visits, [[(slot, score), ...] of a patient in order])."""
    hamd = {}
    for row in rows(folder, "rbmi_antidepressant.csv"):
        course = hamd.setdefault(row["PATIENT"], {0: float(row["BASVAL"])})
        course[round(float(row["RELDAYS"]) / 7)] = float(row["HAMDTL17"])
    visits = sorted({int(row["VISIT"]) for row in rows(folder, "rbmi_antidepressant.csv")})
    bdi = []
    for row in rows(folder, "hsaur_BtheB.csv"):
        names = ["bdi.pre", "bdi.2m", "bdi.4m", "bdi.6m", "bdi.8m"]
        scores = [(8 * n, number(row[name])) for n, name in enumerate(names)]
        bdi.append([(n, score) for n, score in scores if score is not None])
    claus = {}
    for row in rows(folder, "cs_claus_2020.csv"):
        if number(row["bdi"]) is not None:
            claus.setdefault(row["id"], []).append((4 * (int(float(row["time"])) - 1), float(row["bdi"])))
    return {
        "HAMD-17, drug trial": (len(visits) + 1, [sorted(course.items()) for course in hamd.values()]),
        "BDI, Beat the Blues": (5, bdi),
        "BDI, Claus 2020": (4, [sorted(course) for course in claus.values()]),
    }


def solve(pairs):
    """Least squares of y on 1 and x."""
    n, x, y = len(pairs), sum(p[0] for p in pairs), sum(p[1] for p in pairs)
    xx, xy = sum(p[0] ** 2 for p in pairs), sum(p[0] * p[1] for p in pairs)
    slope = (n * xy - x * y) / (n * xx - x * x)
    return (y - slope * x) / n, slope


def noise_and_walk(patients):
    """Score variance R and walk Q a week: half the variance of a difference is R + Q·weeks/2, about the mean difference of its
    weeks (variogram)."""
    by_gap = {}
    for course in patients:
        for n, (a, x) in enumerate(course):
            for b, y in course[n + 1 :]:
                by_gap.setdefault((a, b), []).append(y - x)
    pairs = []
    for (a, b), changes in by_gap.items():
        if len(changes) >= 10:
            mean = sum(changes) / len(changes)
            half = sum((c - mean) ** 2 for c in changes) / (len(changes) - 1) / 2
            pairs += [(b - a, half)] * len(changes)
    noise, half_walk = solve(pairs)
    return noise, 2 * half_walk


def surprises(patients, scale):
    """(z, score, patient, n) of each later score under the filter of rom_trajectory.rs; `scale`: u a point."""
    out = []
    for k, course in enumerate(patients):
        first, level, variance, since = course[0][1] * scale, course[0][1] * scale, NOISE, course[0][0]
        for n, (slot, score) in enumerate(course[1:], 1):
            drift = sum(math.exp(-(i - course[0][0]) / DECAY) for i in range(since + 1, slot + 1))
            predicted = level - DRIFT * first / 15 * drift
            prior = variance + WALK * (slot - since)
            z = (score * scale - predicted) / math.sqrt(prior + NOISE)
            gain = prior / (prior + NOISE) * (min(1, 3 / abs(z)) if z else 1)
            level, variance, since = predicted + gain * (score * scale - predicted), prior * (1 - gain), slot
            out.append((z, score, k, n))
    return out


def auc(pairs):
    yes, no = [x for x, y in pairs if y], [x for x, y in pairs if not y]
    if not yes or not no:
        return float("nan")
    wins = sum((a > b) + 0.5 * (a == b) for a in yes for b in no)
    return wins / len(yes) / len(no)


def interval(pairs):
    """95 % by the bootstrap over patients."""
    rng = random.Random(1)
    by = {}
    for x, y, k in pairs:
        by.setdefault(k, []).append((x, y))
    keys, seen = sorted(by), []
    for _ in range(300):
        drawn = [pair for k in rng.choices(keys, k=len(keys)) for pair in by[k]]
        seen.append(auc(drawn))
    seen.sort()
    return seen[7], seen[292]


def main(folder):
    for name, (visits, patients) in courses(folder).items():
        patients = [course for course in patients if course]
        noise, walk = noise_and_walk(patients)
        print(f"{name}: {len(patients)} patients, {sum(len(c) for c in patients)} scores")
        print(f"  standard error {math.sqrt(max(noise, 0)):.2f} points, so a reliable change of {2.77 * math.sqrt(max(noise, 0)):.1f}")
        print(f"  walk a week over noise: {walk / noise:.2f} (model {WALK / NOISE:.2f})")
        scale = math.sqrt(NOISE / noise)
        said = surprises(patients, scale)
        mean = sum(s[0] for s in said) / len(said)
        sd = math.sqrt(sum((s[0] - mean) ** 2 for s in said) / len(said))
        tails = [sum(abs(s[0]) > t for s in said) / len(said) for t in (1.96, 3)]
        print(f"  surprise of the filter: mean {mean:+.2f}, sd {sd:.2f}, beyond 1.96: {tails[0]:.3f}, beyond 3: {tails[1]:.3f}")
        for label, value in [
            ("surprise", lambda z, score, first: z),
            ("score", lambda z, score, first: score),
            ("change from the first", lambda z, score, first: score - first),
        ]:
            pairs = []
            for z, score, k, n in said:
                course = patients[k]
                if n < visits - 1:
                    pairs.append((value(z, score, course[0][1]), n == len(course) - 1, k))
            left = sum(y for _, y, _ in pairs)
            if not left:
                print("  nobody dropped out")
                break
            low, high = interval(pairs)
            said_so = f"AUC {auc([(x, y) for x, y, _ in pairs]):.2f} ({low:.2f}-{high:.2f})"
            print(f"  dropout next, by {label}: {said_so}, {left} of {len(pairs)}")


main(sys.argv[1])
