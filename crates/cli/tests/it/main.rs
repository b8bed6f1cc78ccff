//! The built `vane` against a management server with canned answers.

mod asking;
mod compiling;
mod failing;
mod offline;
mod rig;
