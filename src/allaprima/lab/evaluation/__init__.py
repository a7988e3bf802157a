"""The judge, the suites of prompts it is asked about, and the reports they end in."""
