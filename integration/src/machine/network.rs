//! The network of a machine, for clients and servers of a test.

use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::AsFd;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Whatever the thread that made it opens, and threads and processes that it starts, is in the network
/// of the machine. Ends when dropped, on the same thread.
#[derive(Debug)]
pub struct Visit {
    home: File,
    /// A name space is one of a thread.
    _here: PhantomData<*const ()>,
}

impl Visit {
    pub(super) fn to(pid: u32) -> Self {
        let home = File::open("/proc/thread-self/ns/net").expect("a thread has a network");
        let there = File::open(format!("/proc/{pid}/ns/net")).expect("the machine runs");
        enter(&there);
        Self { home, _here: PhantomData }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        enter(&self.home);
    }
}

fn enter(network: &File) {
    let moved = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
    moved.expect("root may change its network");
}
