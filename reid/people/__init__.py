"""Synthetic people: bodies, clothes, gait, scenes, cameras, and the renderer that films them.

Everything is made from seeds; no picture of a real person is used anywhere. Needs the extra
`synthetic`. World coordinates are metres with z up and the ground at z = 0; colours inside the renderer
are linear RGB float32, finished pictures are `reid.images.Picture` (BGR uint8).
"""
