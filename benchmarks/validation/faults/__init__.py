"""What harms a sweep, and what becomes of it: signals, stopped processes, disks, clocks, damaged files, several
commands at once.

`house` has the sweep, `trial` judges one of them, each other module brings ways to harm it (`WAYS`); `kept` keeps what
was found, and `page` reports it.
"""
