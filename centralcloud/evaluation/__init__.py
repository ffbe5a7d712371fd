"""The worth of learning: estimates of a score table from the log, before and after a switch, and the price of probes."""
