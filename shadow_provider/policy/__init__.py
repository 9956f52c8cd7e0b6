"""What a candidate must prove before it may take production's place."""
