"""What a report says, as data: no words, no figures.

    records, speeds -> `sections` -> `judging.judge` -> a `Finding` for each section

- `benchmark`: records and speeds from the JSON that `pytest benchmarks/` wrote; `Speed`, `read_benchmark`;
- `sections`: a `Section` for each data set and protocol, in it a `Row` for each model, in that its `SetUp`s
  (identical, native);
- `speeds`: which speed belongs to which row;
- `answers`: predictions and labels, image by image, as far as they are kept: `Answers`, `Changed`;
- `published`: verdicts against published numbers, those `handed_in` among them, and the nearest numbers as context;
  `paired`: image by image, where a number came so;
- `differences`: which rows differ, corrected for the number of pairs; `variance`: where the spread comes from;
- `judging`: all of these of one section in a `Finding`;
- `measured`: the rows of a leaderboard's JSON, to choose a model.

The other modules of `isotune.report` import from here, and so does `isotune.changes`, which judges as they do. Other
packages take `Speed` and `read_benchmark` from `isotune.report`, and `measured` from here. No framework and no
matplotlib is imported.
"""
