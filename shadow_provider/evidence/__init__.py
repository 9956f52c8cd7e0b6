"""Evidence: captures, metrics and ground truth of AWS, reduced to blocks."""
