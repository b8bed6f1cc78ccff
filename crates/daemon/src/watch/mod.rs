//! Watches the configuration directory and asks for a reload when it has come to rest.
//!
//! A watcher is made anew after every change, since watches stick to what a path led to when they
//! were set: a swapped link, or a directory that was removed and made again, needs new ones.

mod targets;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event as Seen, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use vane_mgmt::views::ReloadTrigger;

use self::targets::Targets;
use crate::control::Event;

/// A watched directory. Changes are noticed from [`Watch::arm`] on.
#[derive(Debug)]
pub(crate) struct Watch {
    dir: PathBuf,
    log: Option<PathBuf>,
    /// Files beside the directory's own that the configuration names.
    named: watch::Receiver<BTreeSet<PathBuf>>,
    change: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    has_complained: bool,
}

impl Watch {
    /// Begins to notice changes, other than those of the log, which may lie in there: each reload
    /// writes to it. Where the system has no watches left, the log says so, and
    /// nothing is noticed. Blocks.
    pub(crate) fn arm(
        dir: &Path,
        log: Option<&Path>,
        named: watch::Receiver<BTreeSet<PathBuf>>,
    ) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (dir, log) = (absolute(dir), log.map(absolute));
        let change = Arc::new(Notify::new());
        let mut watch = Self { dir, log, named, change, watcher: None, has_complained: false };
        watch.set_again();
        watch
    }

    /// Asks for a reload after every change, one at a time, until nobody takes the event.
    pub(crate) async fn run(mut self, events: mpsc::Sender<Event>) {
        loop {
            tokio::select! {
                () = rest(&self.change) => {}
                // What is named now may have changed before anybody watched it.
                Ok(()) = self.named.changed() => {}
            }
            let set_again = spawn_blocking(move || {
                self.set_again();
                self
            });
            let Ok(watch) = set_again.await else { return };
            self = watch;
            let (answer, answered) = oneshot::channel();
            let event = Event::Reload { trigger: ReloadTrigger::Watch, answer };
            if events.send(event).await.is_err() {
                return;
            }
            // The outcome is in the log.
            let _ = answered.await;
        }
    }

    /// Sets watches on what the directory consists of now. Earlier ones go when these stand, so
    /// that nothing is missed in between.
    fn set_again(&mut self) {
        let named = self.named.borrow_and_update().clone();
        let targets = Targets::of(&self.dir, self.log.as_deref(), &named);
        self.take(watcher(targets, &self.change));
    }

    /// Uses a new watcher, or keeps the one that there is where none could be made.
    fn take(&mut self, made: notify::Result<(RecommendedWatcher, Vec<notify::Error>)>) {
        match made {
            Ok((watcher, missing)) => {
                self.watcher = Some(watcher);
                missing.into_iter().for_each(|problem| self.complain(&problem));
            }
            Err(error) => self.complain(&error),
        }
    }

    fn complain(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.has_complained, true) {
            let help = help(error);
            tracing::warn!(%error, help, "changes may go unnoticed: use `vane reload` or SIGHUP");
        }
    }
}

/// What an operator can do about it, where that is known.
fn help(error: &notify::Error) -> Option<&'static str> {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => Some("raise the sysctl fs.inotify.max_user_watches"),
        notify::ErrorKind::Io(error) if error.raw_os_error() == Some(TOO_MANY_OPEN) => {
            Some("raise the sysctl fs.inotify.max_user_instances, or the limit of open files")
        }
        _ => None,
    }
}

/// Returns when a change has come and none has followed for [`QUIET`], or changes have not ended
/// for [`LONGEST`].
///
/// # Cancel safety
/// A change that was noticed before the drop may be forgotten.
async fn rest(change: &Notify) {
    change.notified().await;
    let latest = Instant::now() + LONGEST;
    while Instant::now() < latest {
        let quiet = (Instant::now() + QUIET).min(latest);
        if timeout_at(quiet, change.notified()).await.is_err() {
            return;
        }
    }
}

/// A watcher of all targets, and what could not be watched.
fn watcher(
    targets: Targets,
    change: &Arc<Notify>,
) -> notify::Result<(RecommendedWatcher, Vec<notify::Error>)> {
    let targets = Arc::new(targets);
    let (known, change) = (Arc::clone(&targets), Arc::clone(change));
    let mut watcher = notify::recommended_watcher(move |seen: notify::Result<Seen>| {
        if seen.map_or(true, |seen| is_change(&seen, &known)) {
            change.notify_one();
        }
    })?;
    let watch = |path: &Path| watcher.watch(path, RecursiveMode::NonRecursive).err();
    // A directory that went away meanwhile is seen by the watch on its parent.
    let is_lasting = |error: &notify::Error| !matches!(error.kind, notify::ErrorKind::PathNotFound);
    let missing = targets.directories().filter_map(watch).filter(is_lasting).collect();
    Ok((watcher, missing))
}

/// Whether something that belongs to the configuration may differ. Reading does not count, or
/// every reload would be followed by another.
fn is_change(seen: &Seen, targets: &Targets) -> bool {
    let is_change = match seen.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    };
    let is_ours = seen.paths.is_empty() || seen.paths.iter().any(|path| targets.cover(path));
    seen.need_rescan() || (is_change && is_ours)
}

/// EMFILE
const TOO_MANY_OPEN: i32 = 24;
/// Editors and deployments write several files at once, or one in several steps.
const QUIET: Duration = Duration::from_millis(250);
/// Something that is written all the time must not put off a reload for ever.
const LONGEST: Duration = Duration::from_secs(5);
