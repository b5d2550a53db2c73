"""What stands on the two approaches: photographs with regions, regions without drawing, textures, measures, films."""
