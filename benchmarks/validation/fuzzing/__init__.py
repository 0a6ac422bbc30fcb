"""Small valid files of every kind that isotune reads, ways to spoil them, and what reading one then ended in.

`kinds` has the files and their readers, `mutations` spoils, `cases` judges; `child` does many cases in a process with
limits. `tests/fuzz` tries some of it in every run of the tests, `benchmarks/validation/fuzzing` all of it.
"""
