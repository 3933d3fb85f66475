"""What a toy is worth: its scores on scenes whose truth is known, and sheets of its videos."""
