"""What a run is prepared from: colors, regions, targets, weights, the start; and equation 4 put together of them."""
