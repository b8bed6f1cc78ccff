//! The integration suite: one test binary for all scenarios.

mod fixtures;
