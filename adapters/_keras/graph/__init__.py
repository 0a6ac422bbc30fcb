"""What a network's graph shows beside the order of its layers (`dataflow`).

`flattening`: the map that a dense layer reads as a vector. `limits`: operations that change only some values.
`renaming`: files whose layers are called otherwise, by the orders of a network.
"""
