"""Where data sets come from: each source can say what it is made from, and write it once into the cache.

- `naming`: from a name to its source; isotune's own, and those of packages (entry points `isotune.datasets`);
- `source`: what a source is, and all that a package needs to bring one: `Source`, `Kind`, `Described`, `Writer`;
- `arrays`, `folders`, `imagenet`: isotune's own sources;
- `download`, `splitting`: fetching a file, a test part where there is none.

Sources of libraries stand with their adapters. Outside of `isotune.data` only sources themselves import from here.
"""
