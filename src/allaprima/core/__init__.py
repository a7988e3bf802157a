"""Plain data that every other part agrees on: requests, events, errors, what files carry. No torch."""
