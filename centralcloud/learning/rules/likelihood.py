"""Log-likelihoods of Bernoulli outcomes."""

from centralcloud.runtime.arrays import Floats, np


def log_likelihood(successes: Floats, outcomes: Floats) -> Floats:
    """Return the highest log-likelihood of a constant success rate: s ln(s/n) + (n - s) ln((n - s)/n); 0 for n = 0.

    The sum over two samples minus that of the pooled sample is n1 kl(p1, p) + n2 kl(p2, p), where kl is the Bernoulli
    Kullback-Leibler divergence: the generalised likelihood ratio for a difference between the two. Successes may be
    rewards between 0 and 1.
    """
    return _x_ln_x(successes) + _x_ln_x(outcomes - successes) - _x_ln_x(outcomes)


def _x_ln_x(x: Floats) -> Floats:
    return x * np.log(np.where(x > 0, x, 1.0))
