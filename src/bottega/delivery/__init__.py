"""The delivered folder: signed files, the page that shows and proves them, the manifest."""
