"""Log-likelihoods of Bernoulli outcomes."""

import numpy as np

from centralcloud.learning.evidence import Floats


def log_likelihood(successes: Floats, outcomes: Floats) -> Floats:
    """The largest log-likelihood that a constant success probability gives: s ln(s/n) + (n - s) ln((n - s)/n); 0 for n = 0.

    The sum over two samples minus that of both pooled is n1 kl(p1, p) + n2 kl(p2, p), kl the Bernoulli Kullback-Leibler
    divergence: the generalised likelihood ratio of "they differ". Rewards between 0 and 1 may stand for successes.
    """
    return _x_ln_x(successes) + _x_ln_x(outcomes - successes) - _x_ln_x(outcomes)


def _x_ln_x(x: Floats) -> Floats:
    return x * np.log(np.where(x > 0, x, 1.0))
