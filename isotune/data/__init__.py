"""Data sets: framework-neutral images and labels."""
