"""What a customer receives: the folder, the page, the manifest."""
