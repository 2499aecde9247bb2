"""What a release consists of: manifest in, a folder for each repository and release.json out."""
