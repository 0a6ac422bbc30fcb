"""Whether the statistics keep their word, by simulation: what is drawn, what is claimed, the report."""
