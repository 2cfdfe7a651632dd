"""The demo's parts, also used by the crash tests: launching, killing in flight, and an independent count."""
