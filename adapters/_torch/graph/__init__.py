"""What one pass of a network shows beside the order of its layers (`dataflow`).

`flattening`: the map that a vector was made of. `limits`: operations that change only some values. `dropping`: dropout
that a forward calls as a function. `ending`: what makes probabilities of the outputs.
`renaming`: files whose tensors are called otherwise, by the orders of a network.
"""
