"""Formulas of divergences of one element, from log-probabilities: see elementwise_cpu.py.

``x`` is the logarithm of a probability p, ``t`` that of q where LOG_TARGET, else q itself. A probability of 0 adds 0
and has a slope of 0, whatever its logarithm is multiplied by.
"""

from fastloss.kernels.build_cpu import Template, staged


@Template
def kl(x, t, z, q):
    """q (log q - log p)"""
    zero, one = real(0.0), real(1.0)
    if LOG_TARGET:
        p = exp(t)
        d = t - x
        none = p == zero
        loss = select(none | (d == zero), zero, p * d)
        return loss, -p, select(none, zero, loss + p), zero
    d = log(t) - x
    none = t == zero
    return select(none, zero, t * d), -t, select(none, zero, d + one), zero


@Template
def small_js(s):
    """(h tanh h - log cosh h) / s for s = (2 h)^2 <= 2: relative error 2**-29.4 (float32), 2**-60.4 (float64)."""
    if REALSIZE == 4:
        r = fma(s, real(1.0436479414011046e-07), real(-1.7460685057812952e-06))
        r = fma(s, r, real(1.891807551146485e-05))
        r = fma(s, r, real(-0.0001842568744905293))
        r = fma(s, r, real(0.0017360440688207746))
        r = fma(s, r, real(-0.015624991618096828))
        return fma(s, r, real(0.125))
    r = fma(s, real(-6.1555151173491295e-15), real(1.4679019397958183e-13))
    r = fma(s, r, real(-1.9829399147770307e-12))
    r = fma(s, r, real(2.147760045624133e-11))
    r = fma(s, r, real(-2.1574116129609138e-10))
    r = fma(s, r, real(2.124717297739979e-09))
    r = fma(s, r, real(-2.0825069010969495e-08))
    r = fma(s, r, real(2.035852084500257e-07))
    r = fma(s, r, real(-1.983552700959966e-06))
    r = fma(s, r, real(1.922123011600541e-05))
    r = fma(s, r, real(-0.00018446180554919185))
    r = fma(s, r, real(0.001736111111110615))
    r = fma(s, r, real(-0.015624999999999984))
    return fma(s, r, real(0.125))


@Template
def small_log_cosh(s):
    """log(cosh h) / s for s = (2 h)^2 <= 2: relative error 2**-33.3 (float32), 2**-60.7 (float64)."""
    if REALSIZE == 4:
        r = fma(s, real(8.78425598926924e-09), real(-1.6366414001822704e-07))
        r = fma(s, r, real(2.114381686624256e-06))
        r = fma(s, r, real(-2.6337327653891407e-05))
        r = fma(s, r, real(0.00034721754491329193))
        r = fma(s, r, real(-0.005208332557231188))
        return fma(s, r, real(0.125))
    r = fma(s, real(2.919874783790759e-15), real(-6.932327757279907e-14))
    r = fma(s, r, real(9.665146410144519e-13))
    r = fma(s, r, real(-1.1234233498585675e-11))
    r = fma(s, r, real(1.248091923627489e-10))
    r = fma(s, r, real(-1.3881656502616042e-09))
    r = fma(s, r, real(1.5660284459340776e-08))
    r = fma(s, r, real(-1.8032292061069468e-07))
    r = fma(s, r, real(2.1356922202017966e-06))
    r = fma(s, r, real(-2.6351686504539758e-05))
    r = fma(s, r, real(0.0003472222222219167))
    r = fma(s, r, real(-0.005208333333333323))
    return fma(s, r, real(0.125))


@Template
def _log_ratio(x, t, z, q):
    return x - t if LOG_TARGET else x - log(t)


@staged(_log_ratio)
def js(x, t, z, q):
    """(p log(p / m) + q log(q / m)) / 2, m = (p + q) / 2.

    The two terms cancel to the second order where p is near q. With d = log p - log q, a = |d| and h = a / 2, it is
    m (h tanh h - log cosh h), a polynomial of a^2 for small a; and the logarithm of the larger one over m is
    h - log cosh h, from another. For large a, both come from e = exp(-a): log 2 - log1p(e) - a e / (1 + e), and
    log 2 - log1p(e).
    """
    zero, half, one, limit = real(0.0), real(0.5), real(1.0), real(1.4)
    p = exp(x)
    q_ = exp(t) if LOG_TARGET else t
    d = q[5] if STAGED else _log_ratio(x, t, z, q)
    a = minimum(fabs(d), real(1000.0))  # whose exponential is 0: no inf * 0
    near = a < limit
    s = select(near, a * a, one)
    e = exp_nonpositive(-a)
    log_two = real(0.6931471805599453) - log1p_unit(e)
    large = select(near, half * a - s * small_log_cosh(s), log_two)
    divergence = select(near, s * small_js(s), log_two - a * e / (one + e))
    m = half * p + half * q_
    loss = select((m == zero) | (a == zero), zero, m * divergence)
    log_p = large + minimum(d, zero)
    log_q = large + minimum(-d, zero)
    dx = select((p == zero) | (a == zero), zero, half * p * log_p)
    if LOG_TARGET:
        return loss, dx, select((q_ == zero) | (a == zero), zero, half * q_ * log_q), zero
    return loss, dx, select(q_ == zero, zero, half * log_q), zero


@Template
def tv(x, t, z, q):
    """|p - q| / 2; of two logarithms, the larger of p and q times 1 - exp(-|log p - log q|), which does not cancel."""
    zero, half = real(0.0), real(0.5)
    p = exp(x)
    if LOG_TARGET:
        q_ = exp(t)
        up, same = x > t, x == t
        loss = select(same, zero, half * maximum(p, q_) * -expm1(-fabs(x - t)))
        dx = select(up, half, -half)
        return loss, select(same, zero, dx * p), select(same, zero, -dx * q_), zero
    # Near 1, where a sure answer is, exp(x) has lost what x says of 1 - p.
    one = real(1.0)
    d = select(x > real(-0.6931), expm1(x) + (one - t), p - t)
    dx = select(d > zero, half, select(d < zero, -half, zero))
    return half * fabs(d), dx * p, -dx, zero
