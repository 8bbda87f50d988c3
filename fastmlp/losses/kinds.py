"""The numbers by which the compiled loops know the losses, and the places of their parameters."""

(
    SQUARED, ABSOLUTE, HUBER, LOG_COSH, POISSON, QUANTILE, HINGE, DIVERGENCE, DIVERGENCE_LOGITS, BINARY, BINARY_LOGITS,
    BINARY_FOCAL, BINARY_FOCAL_LOGITS, CATEGORICAL, CATEGORICAL_LOGITS, CATEGORICAL_FOCAL, CATEGORICAL_FOCAL_LOGITS,
    SPARSE, SPARSE_LOGITS, CUSTOM,
) = range(20)  # fmt: skip

# Parameters of cross-entropies: how much of a label is spread over all classes, the exponent of a focal loss, and the
# weights of target 1 and target 0. Another loss has what it needs from the first place on.
SMOOTHING, GAMMA, POSITIVE, NEGATIVE, PARAMETERS = range(5)
