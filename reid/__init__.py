"""pixels -> detections, vectors. Knows no disk layout, no clock, no place."""
