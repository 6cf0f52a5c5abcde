"""Formulas of binary classification, of one element: see elementwise_cpu.py."""

from fastloss.kernels.build_cpu import Template, staged

#: Whether a formula's first half was found in a loop of its own.
STAGED = False


@Template
def _small_exponential(x, t, z, q):
    return exp_nonpositive(-fabs(x))


@staged(_small_exponential, slopes_too=False)
def bce_with_logits(x, t, p, q):
    """p t softplus(-x) + (1 - t) softplus(x), with t smoothed to s = (1 - e) t + e / 2.

    With e = exp(-|x|): softplus(x) = max(x, 0) + log1p(e), and of sigmoid(x), sigmoid(-x) the larger is 1 / (1 + e)
    and the smaller e / (1 + e). So both logarithms and both probabilities keep their relative accuracy however large
    x is, and for 0 <= t <= 1 nothing cancels. A logarithm whose factor is 0 is dropped by a select: an infinite x on
    the side of the target costs 0, not 0 * inf.
    """
    zero, one = real(0.0), real(1.0)
    a, b = q[0], q[1]
    s = t * a + b
    r = one - s
    e = q[5] if STAGED else _small_exponential(x, t, x, q)
    log_term = log1p_unit(e)
    large = one / (one + e)
    small = e * large
    positive = maximum(x, zero) + log_term
    negative = maximum(-x, zero) + log_term
    right = x >= zero
    up = select(right, large, small)
    down = select(right, small, large)
    ps = p * s
    loss = select(ps == zero, zero, ps * negative) + select(r == zero, zero, r * positive)
    return loss, r * up - ps * down, a * (p * negative - positive), zero


@Template
def bce(x, t, p, q):
    """-(s log x + (1 - s) log(1 - x)) with logarithms clamped at -100 as PyTorch does, and s = (1 - e) t + e / 2.

    For x in [0, 1] or NaN: whoever calls it has looked.
    """
    floor = real(-100.0)
    one = real(1.0)
    a, b = q[0], q[1]
    s = t * a + b
    log_x = at_least(log_probability(x), floor)
    log_y = at_least(log_complement(x), floor)
    dx = (x - s) / maximum((one - x) * x, real(1e-12))
    return -(s * log_x + (one - s) * log_y), dx, a * (log_y - log_x), real(0.0)


@Template
def self_information(x, t, z, q):
    """-log x"""
    return -log(x), real(-1.0) / x, real(0.0), real(0.0)


@Template
def whole_power(x, n):
    """x**n for n = 0, 1, 2, 3 or 4; n is a constant."""
    if n == 0:
        return real(1.0)
    square = x * x
    return x if n == 1 else square if n == 2 else square * x if n == 3 else square * square


@Template
def sloping_power(x, gamma, n):
    """(x**gamma, its derivative) for gamma = n > 0."""
    lower = whole_power(x, n - 1)
    return lower * x, gamma * lower


@Template
def general_power(x, gamma):
    """(x**gamma, its derivative), or (0, 0)."""
    power = pow(x, gamma)
    return power, select(power == real(0.0), real(0.0), gamma * power / x)


@Template
def focal_power(x, gamma):
    if WHOLE == 0:
        return real(1.0), real(0.0)
    if WHOLE > 0:
        return sloping_power(x, gamma, WHOLE)
    return general_power(x, gamma)


@staged(_small_exponential)
def sigmoid_focal(x, t, z, q):
    """A m^gamma c: c = s softplus(-x) + (1 - s) softplus(x), m = 1 - p_t = p (1 - s) + (1 - p) s, A = alpha s + ...

    With e = exp(-|x|), of p and 1 - p the larger is L = 1 / (1 + e) and the smaller e L. Let u be the share of the
    label on the side of the smaller, v on that of the larger: m = L (v + e u), dc / dx = +-L (v - e u), and
    dm / dx = +-(v - u) e L^2: all accurate relative to themselves for u or v = 0, and of one sign. dc / ds = -x.
    """
    zero, one = real(0.0), real(1.0)
    a, b, alpha, gamma = q[0], q[1], q[2], q[3]
    plain = alpha < zero
    weight_1 = select(plain, one, alpha)
    weight_0 = select(plain, one, one - alpha)
    s = t * a + b
    r = one - s
    e = q[5] if STAGED else _small_exponential(x, t, x, q)
    large = one / (one + e)
    log_term = log1p_unit(e)
    negative = maximum(-x, zero) + log_term
    positive = maximum(x, zero) + log_term
    c = select(s == zero, zero, s * negative) + select(r == zero, zero, r * positive)
    right = x >= zero
    u = select(right, s, r)
    v = select(right, r, s)
    balance = weight_1 * s + weight_0 * r
    power, turn = focal_power(large * (v + e * u), gamma)
    weight = balance * power
    loss = select(weight == zero, zero, weight * c)  # an alpha of 0 or 1
    # Where e is 0 the focal factor is flat, or the loss has vanished with it.
    change = select(e == zero, zero, turn * c * ((v - u) * e * large))
    dx = balance * large * (power * (v - e * u) + change)
    dx = select(right, dx, -dx)
    # By s: A dm^gamma c + dA m^gamma c + A m^gamma dc, dm / ds = 1 - 2 p = -+(1 - e) L. An infinite logit counts as the
    # largest number, for the terms differ in sign.
    largest = real(3.4028234663852886e38 if REALSIZE == 4 else 1.7976931348623157e308)
    c = minimum(c, largest)
    turn *= balance * large * expm1(-fabs(x))
    dt = c * select(right, turn, -turn)
    dt += (weight_1 - weight_0) * power * c
    dt -= weight * maximum(minimum(x, largest), -largest)
    return loss, dx, a * dt, zero


@Template
def positive_power(x, gamma):
    if WHOLE_POS == 0:
        return real(1.0), real(0.0)
    if WHOLE_POS > 0:
        return sloping_power(x, gamma, WHOLE_POS)
    return general_power(x, gamma)


@Template
def negative_power(x, gamma):
    if WHOLE_NEG == 0:
        return real(1.0), real(0.0)
    if WHOLE_NEG > 0:
        return sloping_power(x, gamma, WHOLE_NEG)
    return general_power(x, gamma)


@staged(_small_exponential)
def asymmetric(x, t, z, q):
    """s (1 - p)^gamma+ softplus(-x) + (1 - s) p_m^gamma- n, p_m = max(p - clip, 0), n = -log(1 - p_m), s = t a + b.

    Without a clip n is softplus(x), which a logarithm of 1 - p would lose. What has a factor of s or 1 - s of 0 is
    dropped, as is p times softplus(-x) where p is 0.
    """
    zero, one = real(0.0), real(1.0)
    a, b, gamma_neg, gamma_pos, clip = q[0], q[1], q[2], q[3], q[4]
    s = t * a + b
    e = q[5] if STAGED else _small_exponential(x, t, x, q)
    log_term = log1p_unit(e)
    large = one / (one + e)
    small = e * large
    right = x >= zero
    p = select(right, large, small)
    other = select(right, small, large)
    # The positive part.
    minus_log_p = maximum(-x, zero) + log_term
    power, turn = positive_power(other, gamma_pos)
    rise = select(power == zero, zero, power * minus_log_p)
    rise_slope = -other * (power + select(p == zero, zero, turn * (p * minus_log_p)))
    # The negative part.
    if CLIPPED:
        margin = p - clip
        m = maximum(margin, zero)
        rest = minimum(other + clip, one)  # 1 - m, which m would lose where it is near 1
        n = -log_rest(m, rest, m < real(0.5))
        power, turn = negative_power(m, gamma_neg)
        fall_slope = select(margin >= zero, p * other, zero) * (turn * n + power / rest)
    else:
        n = maximum(x, zero) + log_term
        power, turn = negative_power(p, gamma_neg)
        fall_slope = p * (power + select(other == zero, zero, turn * (other * n)))
    fall = select(power == zero, zero, power * n)
    r = one - s
    loss = select(s == zero, zero, s * rise) + select(r == zero, zero, r * fall)
    dx = select(s == zero, zero, s * rise_slope) + select(r == zero, zero, r * fall_slope)
    return loss, dx, a * (rise - fall), zero
