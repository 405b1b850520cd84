"""What CIANNA's YOLO layer computes, read from its description with plain loops: the witness of `YoloLoss`.

One image, float64, three axes always, as the peer has it. Where the peer's code is evidently not as meant
(`YoloLoss` names the places) this does what was meant.
"""

import itertools

import numpy as np

PARTS = ("position", "size", "probability", "objectness", "classes", "params")


def sigmoid(value, slope, most, least):
    return 1 / (1 + np.exp(np.clip(-slope * value, least, most)))


def activate(logits, boxes, classes, params, slopes, fit_dims, class_softmax):
    """Return the activated output of logits `(z, y, x, boxes * columns)`."""
    out = logits.astype("float64").reshape(*logits.shape[:-1], boxes, -1).copy()
    for axis in range(3):
        fitted = axis < fit_dims
        slope, most, least = slopes["size"]
        out[..., axis] = sigmoid(out[..., axis], *slopes["position"]) if fitted else 0.5
        out[..., 3 + axis] = np.clip(slope * out[..., 3 + axis], least, most) if fitted else 0
    out[..., 6] = sigmoid(out[..., 6], *slopes["probability"])
    out[..., 7] = sigmoid(out[..., 7], *slopes["objectness"])
    if classes:
        c = out[..., 8 : 8 + classes]
        if class_softmax:
            c = np.exp(c - c.max(-1, keepdims=True))
            out[..., 8 : 8 + classes] = c / c.sum(-1, keepdims=True)
        else:
            out[..., 8 : 8 + classes] = sigmoid(c, *slopes["classes"])
    if params:
        slope, most, least = slopes["params"]
        out[..., 8 + classes :] = np.clip(slope * out[..., 8 + classes :], least, most)
    return out


def overlap(a, b, kind):
    """Return the IoU of two boxes (x, y, z minimum, x, y, z maximum)."""
    inside = np.prod([max(0, min(a[3 + i], b[3 + i]) - max(a[i], b[i])) for i in range(3)])
    volumes = [np.prod([abs(box[3 + i] - box[i]) for i in range(3)]) for box in (a, b)]
    union = sum(volumes) - inside
    sides = [max(a[3 + i], b[3 + i]) - min(a[i], b[i]) for i in range(3)]
    apart = sum(((a[i] + a[3 + i]) / 2 - (b[i] + b[3 + i]) / 2) ** 2 for i in range(3))
    if kind == "iou":
        return inside / union
    if kind == "giou":
        return inside / union - (np.prod(sides) - union) / np.prod(sides)
    ratio = apart / sum(side**2 for side in sides)
    return inside / union - (ratio if kind == "diou2" else np.sqrt(ratio))


def loss_and_gradient(logits, objects, s):
    """Return the parts of the loss, the gradient of their sum by the logits, and the association.

    Args:
        logits: `(z, y, x, boxes * columns)`.
        objects: list of dicts with label, box (6 numbers), params, difficult, class_only.
        s: `YoloSettings` of three axes; random rates 0 or (the best prior's) 1.
    """
    n, columns = len(s.priors), 8 + s.classes + s.params
    out = activate(logits, n, s.classes, s.params, s.slopes, s.fit_dims, s.class_softmax)
    priors = np.ones((n, 3))
    priors[:, : s.fit_dims] = np.maximum(1, np.asarray(s.priors)[:, : s.fit_dims])
    grid = logits.shape[:3]
    delta, parts, given = np.zeros_like(out), dict.fromkeys(PARTS, 0.0), {}
    for z, y, x in itertools.product(*map(range, grid)):
        cell = (x, y, z)
        o = out[z, y, x]
        centers = (np.array(cell) + o[:, :3]) * s.cell
        halves = priors * np.exp(o[:, 3:6]) / 2
        predicted = np.concatenate([centers - halves, centers + halves], axis=1)
        good = [any(overlap(p, one["box"], s.iou) > s.limits["good"] for one in objects) for p in predicted]
        mine = [
            m
            for m, one in enumerate(objects)
            if all(int(np.trunc((one["box"][i] + one["box"][3 + i]) / 2 / s.cell[i])) == cell[i] for i in range(3))
        ]
        chosen = associate(mine, objects, predicted, o, priors, s)  # box -> (object, iou)
        for k in range(n):
            if k in chosen:
                m, iou = chosen[k]
                given[(z, y, x, k)] = m
                learn(parts, delta[z, y, x, k], o[k], objects[m], iou, cell, priors[k], s)
            elif not good[k]:
                for part, column in (("probability", 6), ("objectness", 7)):
                    if s.fit[part] >= 0:
                        target = 0.02 if s.fit[part] else 0.5
                        weigh(parts, delta[z, y, x, k], o[k], part, column, target, s.scales[part] * s.noobj[k], s)
    return parts, delta.reshape(*grid, n * columns), given


def weigh(parts, delta, o, part, column, target, scale, s):
    """Add half a squared error and its derivative by the logit."""
    slope = s.slopes[part][0]
    inner = slope if part in ("size", "params") else slope * o[column] * (1 - o[column])
    parts[part] += 0.5 * scale * (o[column] - target) ** 2
    delta[column] += scale * (o[column] - target) * inner


def size_target(one, axis, prior, s):
    _, most, least = s.slopes["size"]
    side = one["box"][3 + axis] - one["box"][axis]
    return np.log(np.clip(side / prior[axis], np.exp(least), np.exp(most)))


def learn(parts, delta, o, one, iou, cell, prior, s):
    q = one["difficult"] if s.difficult else 0
    located = not one["class_only"] and q < 3
    for axis in range(s.fit_dims):
        if s.fit["position"] == 0 or (s.fit["position"] == 1 and located):
            center = (one["box"][axis] + one["box"][3 + axis]) / 2
            target = (center - cell[axis] * s.cell[axis]) / s.cell[axis] if s.fit["position"] else 0.5
            weigh(parts, delta, o, "position", axis, target, s.scales["position"], s)
        if s.fit["size"] == 0 or (s.fit["size"] == 1 and located):
            target = size_target(one, axis, prior, s) if s.fit["size"] else 0
            weigh(parts, delta, o, "size", 3 + axis, target, s.scales["size"], s)
    for part, column, value in (("probability", 6, 0.98), ("objectness", 7, (1 + iou) / 2)):
        if s.fit[part] == 0 or (s.fit[part] == 1 and iou > s.limits[part]):
            weigh(parts, delta, o, part, column, value if s.fit[part] else 0.5, s.scales[part], s)
    if s.fit["classes"] == 1 and s.class_softmax:
        if iou > s.limits["classes"] and q < 2 and 0 <= one["label"] < s.classes:
            c = slice(8, 8 + s.classes)
            parts["classes"] += s.scales["classes"] * -np.log(max(o[8 + one["label"]], 1e-7))
            delta[c] += s.scales["classes"] * (o[c] - (np.arange(s.classes) == one["label"]))
    elif (s.fit["classes"] == 0 and not s.class_softmax) or (
        s.fit["classes"] == 1 and iou > s.limits["classes"] and q < 2
    ):
        for c in range(s.classes):
            target = (0.98 if c == one["label"] else 0.02) if s.fit["classes"] else 0.5
            weigh(parts, delta, o, "classes", 8 + c, target, s.scales["classes"], s)
    if s.fit["params"] == 0 or (s.fit["params"] == 1 and iou > s.limits["params"] and q < 2):
        for p in range(s.params):
            target = one["params"][p] if s.fit["params"] else 0.5
            scale = s.scales["params"] * s.param_scales[p]
            weigh(parts, delta, o, "params", 8 + s.classes + p, target, scale, s)


def associate(mine, objects, predicted, o, priors, s):
    """Walk through the objects of one cell; return box -> (object, IoU)."""
    n = len(priors)
    table = {m: [overlap(p, objects[m]["box"], s.iou) for p in predicted] for m in mine}
    distance = {m: [prior_distance(objects[m], prior, s) for prior in priors] for m in mine}
    eligible = {m: closest(distance[m], s.strict_priors) for m in mine}
    smallest = min(range(n), key=lambda k: np.sum(priors[k] ** 2))
    chosen, waiting = {}, list(mine)
    for _ in mine:
        pairs = [(table[m][k], -i, -k) for i, m in enumerate(waiting) for k in eligible[m] if k not in chosen]
        if not pairs:
            break
        iou, i, k = max(pairs)
        m, k = waiting[-i], -k
        free = [j for j in range(n) if j not in chosen]
        sides = np.subtract(objects[m]["box"][3:], objects[m]["box"][:3])
        if np.all(sides < s.smallest_prior_scale * priors[smallest]):
            same = [j for j in free if np.array_equal(priors[j], priors[smallest])]
            k = max(same, key=lambda j: (table[m][j], -j)) if same else k
        elif iou < s.limits["low_best"] or s.best_prior_rate == 1:
            near = [j for j in free if distance[m][j] - min(distance[m]) < 1e-3]
            k = max(near, key=lambda j: (table[m][j], -j)) if near else k
        waiting.remove(m)
        iou = s.limits["good"] if objects[m]["class_only"] else min(table[m][k], 0.98)
        weak = iou < s.limits["difficult_iou"] or o[k, 7] < s.limits["difficult_objectness"]
        if not (s.difficult and objects[m]["difficult"] > 0 and weak):
            chosen[k] = (m, iou)
    return chosen


def prior_distance(one, prior, s):
    sides = np.subtract(one["box"][3:], one["box"][:3])
    if s.prior_distance == "iou":
        return 1 - overlap(np.r_[-sides, sides] / 2, np.r_[-prior, prior] / 2, s.iou)
    if s.prior_distance == "size":
        return np.sqrt(np.sum((sides - prior) ** 2))
    return sum(abs(size_target(one, axis, prior, s)) for axis in range(3))


def closest(distance, count):
    n, taken = len(distance), set()
    if not count:
        return range(n)
    for _ in range(count):
        left = [distance[k] for k in range(n) if k not in taken]
        if left:
            taken |= {k for k in range(n) if abs(distance[k] - min(left)) < 1e-3}
    return sorted(taken)
