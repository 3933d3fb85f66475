"""A Wan in miniature: transformer, codec and text encoder, and its shipped checkpoints."""
