"""What one asset is worth in another, exactly."""
