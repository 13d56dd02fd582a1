from .comparison import PairedDifference, holm_differences, paired_difference

__all__ = ["PairedDifference", "holm_differences", "paired_difference"]
