"""Evidence out of a case: pictures, clips, times, checksums, and a feed for a situation room."""
