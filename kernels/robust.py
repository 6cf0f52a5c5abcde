"""Formulas of robust losses, of one element: see elementwise_cpu.py; and regression.py on halves and ``fma``."""

from fastloss.kernels.build_cpu import Template


@Template
def charbonnier(x, t, z, q):
    """sqrt(d^2 + eps^2), as the larger of the two times sqrt(1 + (ratio)^2): no square overflows."""
    one = real(1.0)
    eps = q[0]
    d = x - t
    a = fabs(d)
    far = a > eps
    larger = select(far, a, eps)
    r = select(far, eps, a) / larger
    root = sqrt(one + r * r)
    g = copysign(select(far, one, r) / root, d)
    return larger * root, g, -g, real(0.0)


@Template
def cauchy(x, t, z, q):
    """log(1 + u) with u = (d / c)^2 / 2 = 2 h^2, h = d / (2 c); q = (1 / c, 2^-10 / c).

    Far out u overflows, and h where c is small: 2 log(h / 2^10) + 21 log 2.
    """
    one, half = real(1.0), real(0.5)
    d = x * half - t * half
    h = d * q[0]
    u = real(2.0) * h * h
    far = fabs(h) > real(2.0**60)
    r = log1p(select(far, fabs(d) * q[1], u))
    g = select(far, one, (h + h) * q[0]) / select(far, d, fma(h + h, h, one))
    return select(far, r + r + real(21 * 0.6931471805599453), r), g, -g, real(0.0)


@Template
def welsch(x, t, z, q):
    """1 - exp(-u) with u = (d / c)^2 / 2; q = 1 / c."""
    zero = real(0.0)
    d = (x - t) * q[0]
    u = real(0.5) * d * d
    e = exp_nonpositive(-u)
    g = select(e == zero, zero, e * d) * q[0]
    return -expm1(-u), g, -g, zero


@Template
def geman_mcclure(x, t, z, q):
    """2 u / (1 + u) with u = h^2, h = d / (2 c); q = 1 / c. Beyond 1 in 1 / u: no square overflows."""
    one, two, half = real(1.0), real(2.0), real(0.5)
    h = (x * half - t * half) * q[0]
    far = fabs(h) > one
    r = select(far, one / h, h)
    u = r * r
    inverse = one / fma(r, r, one)
    value = two * inverse
    g = select(far, r * u, r) * (value * inverse) * q[0]
    return select(far, value, value * u), g, -g, real(0.0)
