"""Training of embedders on synthetic people (extra `synthetic`): crops, augmentation, losses, loop, export.

Nothing here knows where a picture of a real person lies: measuring folders are given by the user.
"""
