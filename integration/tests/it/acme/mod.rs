//! Certificates that look after themselves: the real daemon against a real certificate authority.

mod damage;
mod dns;
mod issuance;
mod kills;
mod offers;
mod refusals;
mod reloads;
mod renewal;
mod restarts;
mod rig;

use std::time::Duration;

/// Long enough for an order, where the machine has other things to do as well.
const LIMIT: Duration = Duration::from_secs(40);
