"""The registry of images: what a distribution-spec client finds at /v2/."""
