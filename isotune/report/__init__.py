"""Reports: records to markdown leaderboards and figures."""
