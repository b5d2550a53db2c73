"""What a run is prepared from: colors, regions, targets, weights in units, the start, and the objective of all of it.

Every page imports only from the story's pages up to `objective`, and from pages before it in the order `colors`,
`weights`, `regions`, `targets`, `style_transfer`, `starts`.
"""
