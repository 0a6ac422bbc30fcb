"""Two sides held against each other: the kernel on which proofs, attributions and investigations stand.

- `sides`: `Side`, a model with its set-up; `Inputs`, what both are given; `Request`, one part of a side to be recorded;
- `batch`: images in the order in which a side is given them;
- `requests`: what a worker is asked, `describe` and `record`; `recorder`: the worker's part, and what every model
  shows, for those who put models through something else;
- `pairing`: which layers of both are the same one, where one has more;
- `one_sided`: what one side alone has, and nothing shows;
- `observations`: folders of recorded arrays;
- `errors`: of tensors against a reference; `bounds`: what an error may be, and `judge`.

All of these may be imported; a caller that starts no worker needs `recorder` for nothing. The kernel knows nothing of
rungs, stages or causes.
"""
