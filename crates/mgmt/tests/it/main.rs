//! The management protocol over real Unix sockets.

mod clients;
mod rig;
mod round_trip;
mod socket;
mod wire;
