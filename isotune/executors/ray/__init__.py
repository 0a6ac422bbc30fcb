"""Cells on a Ray cluster, which may be one that is started for the run.

No folder need be shared. The driver claims each cell, hands it to a seat, and writes what comes back:

    driver ─ order: a cell, what it needs by digest ─> seat (an actor) ─ as ever ─> worker process
           <─ what is lacking there, or record and predictions ─

- `_cluster`: reaching or starting it, in silence, and what it has room for;
- `_dispatch`: which cell next, in which seat; what was lost runs elsewhere;
- `_parcels`: data sets and files of the user's own, by content, through Ray's object store once a node;
- `_drafts`: those of fine-tunings, fetched and handed out;
- `_seat`: the side of the node: a worker process that is kept warm; `_actor`: how Ray knows it.
"""

from isotune.executors.ray._executor import Ray

__all__ = ["Ray"]
