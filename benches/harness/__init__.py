"""The parts of `benches/run`. Standard library only; everything it starts listens on 127.0.0.1 and ends with it."""
