"""The numbers by which the compiled loops know the metrics, and the columns of their tables."""

BINARY, CATEGORICAL, SPARSE, TOP_K, SPARSE_TOP_K, SQUARED, ABSOLUTE, PERCENTAGE, R2, COUNTS = range(10)

# Columns of the table of a run's metrics: its kind, its first sum, whether rows count by their weights, and where its
# parameters begin and end.
KIND, FIRST_SUM, WEIGHTED, FIRST_PARAMETER, LAST_PARAMETER, METRIC_FIELDS = range(6)
