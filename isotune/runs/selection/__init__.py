"""What is chosen in a fine-tuning, and how: `fine_tuning` runs one cell's, from its images to its scores.

- `holding_out`: which training images are held out;
- `views`: the images that are evaluated, one crop of each or three;
- `averaging`, `evaluations`: what goes beside the loop of `isotune.runs.training`;
- `search`: a grid of hyper-parameters, one training after another; `finished`: the best of them, as it ended;
- `selected`: what a record says of all that; `checking`: whether it can be, before anything runs.
"""
