//! Sockets that outlive listeners: those that were open before the engine started, and copies for
//! whoever keeps them for the process that comes next.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::SockRef;
use vane_core::value::listen_addr::Transport;

/// Where the socket of a listener comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The engine bound it.
    Bound,
    /// It was there at start, and is not the engine's to close.
    Inherited,
    /// An earlier engine bound it, and it was kept since.
    Kept,
}

impl Source {
    /// Its word in the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Inherited => "inherited",
            Self::Kept => "kept",
        }
    }
}

/// What was open before the engine started.
#[derive(Debug, Default)]
pub struct Handed {
    /// Each socket, of which there is one for a transport and address.
    pub sockets: Vec<HandedSocket>,
    /// Is given a copy of each socket that the engine binds.
    pub keeper: Option<Arc<dyn Keeper>>,
}

/// One socket that was open before the engine started.
#[derive(Debug)]
pub struct HandedSocket {
    /// TCP or UDP.
    pub transport: Transport,
    /// The local address, by which a listener is found for it.
    pub address: SocketAddr,
    /// [`Source::Inherited`] or [`Source::Kept`].
    pub source: Source,
    /// The socket; or why nobody may serve on it, in words for the operator.
    pub socket: Result<Socket, String>,
}

/// A socket that is bound.
#[derive(Debug)]
pub enum Socket {
    /// Listens.
    Tcp(TcpListener),
    /// Takes datagrams. No listener serves it yet, so it is only kept open.
    Udp(UdpSocket),
}

/// Holds copies of TCP sockets for the process that comes next. Called on the thread of the control
/// plane, so it answers soon.
pub trait Keeper: Debug + Send + Sync {
    /// A socket listens on `address` from now on.
    fn keep(&self, address: SocketAddr, socket: BorrowedFd<'_>);

    /// The listener on `address` goes, and its socket with it. What is returned ends when the copy has
    /// been closed, or when it is not worth waiting any longer.
    fn forget(&self, address: SocketAddr) -> Forgotten;

    /// Whether it is known to have room for copies; without that, one may have come to nothing.
    fn has_room(&self) -> bool;
}

/// Ends when a copy of a socket has been closed.
pub type Forgotten = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The sockets that no listener serves, by what a listener asks for.
#[derive(Debug)]
pub(crate) struct Sockets {
    parked: Mutex<HashMap<Key, Parked>>,
    keeper: Option<Arc<dyn Keeper>>,
    ending: AtomicBool,
}

type Key = (Transport, SocketAddr);

#[derive(Debug)]
struct Parked {
    source: Source,
    socket: Result<Socket, String>,
    is_reported: bool,
}

impl Sockets {
    /// With nobody served yet.
    pub(crate) fn new(handed: Handed) -> Self {
        let Handed { sockets, keeper } = handed;
        let parked = sockets.into_iter().map(|handed| {
            let HandedSocket { transport, address, source, socket } = handed;
            ((transport, address), Parked { source, socket, is_reported: false })
        });
        Self { parked: Mutex::new(parked.collect()), keeper, ending: AtomicBool::new(false) }
    }

    /// What `register` makes of the socket for a listener on `address`, if one is there. The socket
    /// stays here until that has gone well.
    ///
    /// # Errors
    /// When it must not serve, and so nothing can listen there; or when it cannot be registered.
    pub(crate) fn claim<T>(
        &self,
        address: SocketAddr,
        register: impl FnOnce(TcpListener) -> io::Result<T>,
    ) -> io::Result<Option<(T, Source)>> {
        let mut parked = self.lock();
        let key = (Transport::Tcp, address);
        let Some(found) = parked.get_mut(&key) else { return Ok(None) };
        found.is_reported = true;
        let (source, registered) = match &found.socket {
            Ok(Socket::Tcp(socket)) => (found.source, register(revived(socket)?)?),
            other => {
                let why = other.as_ref().err().cloned();
                return Err(io::Error::other(why.unwrap_or_default()));
            }
        };
        parked.remove(&key);
        Ok(Some((registered, source)))
    }

    /// Puts back a socket that no listener serves from now on.
    pub(crate) fn park(&self, address: SocketAddr, socket: TcpListener) {
        let socket = Ok(Socket::Tcp(socket));
        let parked = Parked { source: Source::Inherited, socket, is_reported: true };
        self.lock().insert((Transport::Tcp, address), parked);
    }

    /// Gives a copy of a socket that has just been bound to whoever keeps them.
    pub(crate) fn keep(&self, address: SocketAddr, socket: BorrowedFd<'_>) {
        if let Some(keeper) = &self.keeper {
            keeper.keep(address, socket);
        }
    }

    /// Has the copy of a socket closed; ends when it is.
    pub(crate) fn forget(&self, address: SocketAddr) -> Forgotten {
        match &self.keeper {
            Some(keeper) => keeper.forget(address),
            None => Box::pin(std::future::ready(())),
        }
    }

    /// Notes that the process ends: sockets of which there are copies are left to the next one.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    /// Whether whoever connects to a socket of that source after its listener has gone waits for
    /// somebody who comes later.
    pub(crate) fn is_left(&self, source: Source) -> bool {
        match source {
            Source::Inherited => true,
            Source::Kept => self.is_ending(),
            Source::Bound => {
                self.is_ending() && self.keeper.as_ref().is_some_and(|keeper| keeper.has_room())
            }
        }
    }

    /// Whether the process ends.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Closes what was kept and is not wanted any more. What is wanted and could not be served yet stays.
    ///
    /// # Cancel safety
    /// Dropping the future leaves copies that are closed later.
    pub(crate) async fn release(&self, is_wanted: impl Fn(&(Transport, SocketAddr)) -> bool) {
        let unwanted: Vec<_> = self
            .lock()
            .extract_if(|key, parked| parked.source == Source::Kept && !is_wanted(key))
            .map(|((_, address), parked)| (address, parked))
            .collect();
        let forgotten: Vec<_> =
            unwanted.into_iter().map(|(address, _)| self.forget(address)).collect();
        for copy in forgotten {
            copy.await;
        }
    }

    /// Says once of each socket that was handed over in vain that it was.
    pub(crate) fn report(&self) {
        for ((transport, address), parked) in self.lock().iter_mut() {
            if parked.source == Source::Inherited
                && !std::mem::replace(&mut parked.is_reported, true)
            {
                let why = parked.socket.as_ref().err().map(String::as_str);
                let why = why.unwrap_or("no listener has this address: whoever connects waits");
                tracing::warn!(%transport, %address, "an inherited socket is not served: {why}");
            }
        }
    }

    /// Those that were handed over and are not served, by address, with why they must not be.
    pub(crate) fn unclaimed(&self) -> Vec<(Transport, SocketAddr, Option<String>)> {
        let parked = self.lock();
        let of =
            |(key, parked): (&Key, &Parked)| (key.0, key.1, parked.socket.as_ref().err().cloned());
        let mut unclaimed: Vec<_> = parked.iter().map(of).collect();
        unclaimed.sort();
        unclaimed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Parked>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy that is ready to be used by a runtime. A process that was killed while its listener went
/// has left the filter of [`crate::bind`], and whoever holds a copy may have made it block.
fn revived(socket: &TcpListener) -> io::Result<TcpListener> {
    // Fails where there is none.
    let _ = SockRef::from(socket).detach_filter();
    socket.set_nonblocking(true)?;
    socket.try_clone()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[derive(Debug, Default)]
    struct Notes {
        told: Mutex<Vec<String>>,
        has_room: bool,
    }

    impl Keeper for Notes {
        fn keep(&self, address: SocketAddr, _: BorrowedFd<'_>) {
            self.told.lock().unwrap().push(format!("+{address}"));
        }

        fn forget(&self, address: SocketAddr) -> Forgotten {
            self.told.lock().unwrap().push(format!("-{address}"));
            Box::pin(std::future::ready(()))
        }

        fn has_room(&self) -> bool {
            self.has_room
        }
    }

    fn socket() -> (SocketAddr, TcpListener) {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        (socket.local_addr().expect("a bound socket"), socket)
    }

    fn handed(source: Source) -> (SocketAddr, HandedSocket) {
        let (address, socket) = socket();
        let socket = Ok(Socket::Tcp(socket));
        (address, HandedSocket { transport: Transport::Tcp, address, source, socket })
    }

    #[test]
    fn a_socket_is_claimed_once_and_again_after_it_was_parked() {
        let (address, handed) = handed(Source::Inherited);
        let sockets = Sockets::new(Handed { sockets: vec![handed], keeper: None });
        let (socket, source) = sockets.claim(address, Ok).unwrap().expect("it was handed over");
        assert_eq!(source, Source::Inherited);
        assert!(sockets.claim(address, Ok).unwrap().is_none());
        sockets.park(address, socket);
        assert!(sockets.claim(address, Ok).unwrap().is_some());
    }

    #[test]
    fn a_socket_that_cannot_be_registered_stays_for_the_next_attempt() {
        let (address, handed) = handed(Source::Inherited);
        let sockets = Sockets::new(Handed { sockets: vec![handed], keeper: None });
        let failed = sockets.claim(address, |_| Err::<(), _>(io::ErrorKind::StorageFull.into()));
        assert_eq!(failed.expect_err("it is passed on").kind(), io::ErrorKind::StorageFull);
        std::net::TcpStream::connect(address).expect("it still listens");
        assert!(sockets.claim(address, Ok).unwrap().is_some());
    }

    #[test]
    fn a_socket_that_must_not_serve_says_so_each_time() {
        let (address, handed) = handed(Source::Inherited);
        let handed = HandedSocket { socket: Err("it is both families".into()), ..handed };
        let sockets = Sockets::new(Handed { sockets: vec![handed], keeper: None });
        for _ in 0..2 {
            let error = sockets.claim(address, Ok).expect_err("it is refused");
            assert_eq!(error.to_string(), "it is both families");
        }
        assert_eq!(sockets.unclaimed().len(), 1);
    }

    #[tokio::test]
    async fn what_was_kept_and_could_not_be_served_yet_stays_while_it_is_wanted() {
        let (address, handed) = handed(Source::Kept);
        let notes = Arc::new(Notes::default());
        let keeper: Arc<dyn Keeper> = notes.clone();
        let sockets = Sockets::new(Handed { sockets: vec![handed], keeper: Some(keeper) });
        let failed = sockets.claim(address, |_| Err::<(), _>(io::ErrorKind::StorageFull.into()));
        failed.expect_err("it is passed on");
        sockets.release(|(_, wanted)| *wanted == address).await;
        std::net::TcpStream::connect(address).expect("it still listens");
        assert!(sockets.claim(address, Ok).unwrap().is_some());
        assert_eq!(Vec::<String>::new(), *notes.told.lock().unwrap());
    }

    #[tokio::test]
    async fn what_was_kept_and_is_wanted_no_more_is_forgotten() {
        let ((kept, first), (inherited, second)) =
            (handed(Source::Kept), handed(Source::Inherited));
        let notes = Arc::new(Notes::default());
        let keeper: Arc<dyn Keeper> = notes.clone();
        let sockets = Sockets::new(Handed { sockets: vec![first, second], keeper: Some(keeper) });
        sockets.release(|_| false).await;
        let left: Vec<_> = sockets.unclaimed().iter().map(|(_, address, _)| *address).collect();
        assert_eq!(left, [inherited]);
        let (address, socket) = socket();
        sockets.keep(address, socket.as_fd());
        assert_eq!(*notes.told.lock().unwrap(), [format!("-{kept}"), format!("+{address}")]);
    }

    #[test]
    fn only_what_somebody_else_holds_is_left_to_those_who_come_later() {
        let keeper = |has_room| -> Option<Arc<dyn Keeper>> {
            Some(Arc::new(Notes { has_room, ..Notes::default() }))
        };
        for (keeper, expected) in [(None, false), (keeper(false), false), (keeper(true), true)] {
            let sockets = Sockets::new(Handed { sockets: Vec::new(), keeper });
            let left = || {
                [Source::Inherited, Source::Kept, Source::Bound]
                    .map(|source| sockets.is_left(source))
            };
            assert_eq!(left(), [true, false, false]);
            sockets.end();
            assert_eq!(left(), [true, true, expected]);
        }
    }
}
