"""Plain data that every other part agrees on: requests, events, errors, what is written into files. No torch."""
