//! What waits to be told. Nobody ever waits for the service manager: what it does not take at once is
//! kept, and told in its order as soon as it takes something again.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// One message, with a descriptor beside it or without.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: Topic,
    pub(super) text: String,
    pub(super) beside: Option<OwnedFd>,
}

/// What a message is about, which says what it makes of those that still wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Topic {
    /// A reload begins: another one that has waited in vain is as good as never begun.
    Reloading,
    /// Always told, but for the end of such a reload.
    Ready,
    /// Always told.
    Stopping,
    /// A time to come, which replaces another.
    Time,
    /// Once is enough.
    Alive,
    /// A socket to be kept.
    Keep(String),
    /// That socket is no longer to be kept, which cancels what was said of it before.
    Forget(String),
    /// Shows when what was said before it has been heard.
    Barrier,
}

/// The way to the service manager.
#[derive(Debug, Clone)]
pub(super) struct Outbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    socket: UnixDatagram,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    is_attended: bool,
}

impl Outbox {
    /// Through a socket that is connected.
    pub(super) fn new(socket: UnixDatagram) -> Self {
        Self(Arc::new(Inner { socket, waiting: Mutex::default() }))
    }

    /// Tells it now, or when it can be told. Does not block.
    pub(super) fn post(&self, message: Message) {
        let mut waiting = self.0.lock();
        if waiting.messages.is_empty() && self.0.is_told(&message) {
            return;
        }
        waiting.add(message);
        if !waiting.is_attended && !waiting.messages.is_empty() {
            waiting.is_attended = self.attend();
        }
    }

    /// Has a thread tell what waits, which ends when nothing does.
    fn attend(&self) -> bool {
        let inner = Arc::clone(&self.0);
        let started = thread::Builder::new().name("notify".to_owned()).spawn(move || inner.tell());
        started
            .inspect_err(|error| tracing::warn!(%error, "the service manager is told later"))
            .is_ok()
    }
}

impl Inner {
    fn tell(&self) {
        loop {
            let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], None);
            let mut waiting = self.lock();
            while waiting.messages.front().is_some_and(|message| self.is_told(message)) {
                waiting.messages.pop_front();
            }
            if waiting.messages.is_empty() {
                waiting.is_attended = false;
                return;
            }
        }
    }

    /// Whether a message need not wait: it has been told, or never can be.
    fn is_told(&self, message: &Message) -> bool {
        match self.send(message) {
            Ok(()) => true,
            Err(Errno::AGAIN | Errno::INTR) => false,
            Err(error) => {
                let error = io::Error::from(error);
                tracing::warn!(%error, message.text, "the service manager cannot be told");
                true
            }
        }
    }

    fn send(&self, message: &Message) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = message.beside.iter().map(AsFd::as_fd).collect();
        if !descriptors.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let bytes = [IoSlice::new(message.text.as_bytes())];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&self.socket, &bytes, &mut beside, flags).map(|_| ())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// So much is taken out for what comes in that a manager that never takes anything fills no memory.
    fn add(&mut self, message: Message) {
        use Topic::{Alive, Barrier, Forget, Keep, Ready, Reloading, Time};
        let messages = &mut self.messages;
        match &message.topic {
            Reloading => {
                let first = messages.iter().position(|waiting| waiting.topic == Reloading);
                let mut rest = messages.split_off(first.unwrap_or(messages.len()));
                rest.retain(|waiting| !matches!(waiting.topic, Reloading | Ready));
                messages.append(&mut rest);
            }
            Time => messages.retain(|waiting| waiting.topic != Time),
            Alive if messages.iter().any(|waiting| waiting.topic == Alive) => return,
            Forget(name) => messages.retain(
                |waiting| !matches!(&waiting.topic, Keep(other) | Forget(other) if other == name),
            ),
            // Whoever waits for it goes on when it is closed.
            Barrier if messages.len() >= MANY => return,
            _ => {}
        }
        messages.push_back(message);
    }
}

/// With so many messages waiting there is nobody who hears.
const MANY: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UnixDatagram, Outbox) {
        let (manager, own) = UnixDatagram::pair().expect("a pair of sockets");
        (manager, Outbox::new(own))
    }

    fn message(topic: Topic, text: &str) -> Message {
        Message { topic, text: text.to_owned(), beside: None }
    }

    /// Says things until nothing more is taken, and yields how many were.
    fn clog(outbox: &Outbox) -> usize {
        let junk = message(Topic::Stopping, "junk");
        (0..1_000_000).take_while(|_| outbox.0.send(&junk).is_ok()).count()
    }

    fn heard(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).expect("a message comes");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn what_is_not_taken_is_told_later_in_its_order() {
        let (manager, outbox) = pair();
        let junk = clog(&outbox);
        for (topic, text) in [(Topic::Ready, "1"), (Topic::Alive, "2"), (Topic::Ready, "3")] {
            outbox.post(message(topic, text));
        }
        for _ in 0..junk {
            assert_eq!("junk", heard(&manager));
        }
        assert_eq!(["1", "2", "3"], [(); 3].map(|()| heard(&manager)).each_ref().map(|x| &**x));
        outbox.post(message(Topic::Stopping, "4"));
        assert_eq!("4", heard(&manager));
    }

    #[test]
    fn of_many_reloads_that_nobody_hears_of_the_last_is_told_and_the_first_word_is_kept() {
        let mut waiting = Waiting::default();
        waiting.add(message(Topic::Ready, "first"));
        for round in 0..1000 {
            waiting.add(message(Topic::Alive, "alive"));
            waiting.add(message(Topic::Reloading, "reloading"));
            waiting.add(message(Topic::Ready, &round.to_string()));
        }
        let texts: Vec<_> = waiting.messages.iter().map(|message| &*message.text).collect();
        assert_eq!(["first", "alive", "reloading", "999"], *texts);
    }

    #[test]
    fn a_socket_that_was_not_given_away_yet_is_closed_when_it_is_given_up() {
        let (manager, outbox) = pair();
        clog(&outbox);
        let (reader, writer) = io::pipe().expect("a pipe");
        let keep = message(Topic::Keep("a".into()), "keep");
        outbox.post(Message { beside: Some(writer.into()), ..keep });
        outbox.post(message(Topic::Keep("b".into()), "other"));
        outbox.post(message(Topic::Forget("a".into()), "forget"));
        let text = io::read_to_string(reader).expect("the other end is closed");
        assert_eq!("", text);
        let texts: Vec<_> =
            outbox.0.lock().messages.iter().map(|message| message.text.clone()).collect();
        assert_eq!(["other", "forget"], *texts);
        drop(manager);
    }

    #[test]
    fn what_cannot_be_told_at_all_holds_up_nothing() {
        let (manager, outbox) = pair();
        drop(manager);
        outbox.post(message(Topic::Ready, "1"));
        assert!(outbox.0.lock().messages.is_empty());
    }
}
