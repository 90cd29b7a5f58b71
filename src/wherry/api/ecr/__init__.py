"""Amazon ECR: repositories and their images. The registry itself is `wherry.api.registry`."""
