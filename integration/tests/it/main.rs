//! The integration suite: one test binary for all scenarios.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod acme;
mod appliance;
mod demands;
mod fixtures;
mod lifecycle;
mod machine;
mod nixos;
mod tls;
mod traffic;
mod units;
