"""What Keras's own classes and guides give, but for the input scaling, which is each model's."""

from isotune.conventions import Conventions

# The loss is from logits: Keras's guides use `from_logits=True` on a head without activation, and even with a softmax
# head Keras on TensorFlow computes from the logits that it finds in the graph. A warm-up begins at the initial rate
# of CosineDecay, which its documentation sets to 0.
NATIVE = Conventions(
    decode="tensorflow",
    resize="plain",
    optional_tensors="own",
    batchnorm_running_variance="biased",
    frozen_batchnorm="inference",
    head_initialisation="glorot-uniform",
    momentum_form="rate-inside",
    weight_decay_form="decoupled",
    weight_decay_on="all",
    adam_epsilon="before-correction",
    rmsprop_epsilon="inside-root",
    clipping="per-variable",
    loss="logits",
    hyperparameters="float32",
    average_start="first",
    average_warmup="none",
    average_statistics="copied",
    warmup_start="zero",
    warmup_place="before",
    schedule_per="step",
    depth_per="image",
    depth_scaling="scaled",
    mixing_partner="shuffled",
    mixing_per="image",
    erasing_fill="clipped-noise",
)
