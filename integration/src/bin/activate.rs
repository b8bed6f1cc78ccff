//! Becomes another program that inherits descriptors from 3 on, as a service manager starts it.
//!
//! The descriptors come over the socket that is standard input, and the kernel gives each the lowest
//! number that is free. So they are inherited by this process alone, whatever else its parent starts
//! at the same time.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().ok_or_else(|| io::Error::other("usage: activate PROGRAM..."))?;
    for (expected, fd) in (3..).zip(handed()?) {
        let number = fd.into_raw_fd();
        if number != expected {
            return Err(io::Error::other(format!("descriptor {expected} is taken: {number}")));
        }
    }
    let mut command = Command::new(program);
    command.args(arguments).env("LISTEN_PID", std::process::id().to_string());
    Err(command.stdin(Stdio::null()).exec())
}

fn handed() -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    recvmsg(io::stdin(), &mut bytes, &mut beside, RecvFlags::empty())?;
    let descriptors = beside.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(descriptors.flatten().collect())
}
