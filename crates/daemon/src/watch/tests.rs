use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// Nothing beside the directory's own.
fn named() -> watch::Receiver<BTreeSet<PathBuf>> {
    watch::Sender::default().subscribe()
}

/// A directory to play in, by its path without links.
struct Place {
    _dir: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().canonicalize().expect("it exists");
        Self { _dir: dir, path }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    fn file(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("made");
        fs::write(&path, "{}").expect("a file can be written");
        path
    }

    fn link(&self, target: &str, path: &str) {
        symlink(target, self.path(path)).expect("a link can be made");
    }
}

async fn is_noticed(watch: &Watch) -> bool {
    timeout(Duration::from_secs(10), watch.change.notified()).await.is_ok()
}

#[test]
fn files_of_the_directory_matter_and_its_neighbours_do_not() {
    let place = Place::new();
    place.file("conf/rules/a.json");
    let targets = Targets::of(&place.path("conf"), None, &BTreeSet::new());
    assert!(targets.cover(&place.path("conf")));
    assert!(targets.cover(&place.path("conf/config.json")));
    assert!(targets.cover(&place.path("conf/rules/b.json")));
    assert!(!targets.cover(&place.path("other")));
}

#[test]
fn a_log_in_the_directory_does_not_matter() {
    let place = Place::new();
    let log = place.file("conf/vaned.log");
    let targets = Targets::of(&place.path("conf"), Some(&log), &BTreeSet::new());
    assert!(!targets.cover(&log));
    assert!(targets.cover(&place.path("conf/a.html")));
}

#[test]
fn every_link_of_a_swapped_tree_matters() {
    let place = Place::new();
    place.file("v1/rules/a.json");
    fs::create_dir(place.path("conf")).expect("a directory can be made");
    place.link("../v1", "conf/..data");
    place.link("..data/rules", "conf/rules");
    let targets = Targets::of(&place.path("conf"), None, &BTreeSet::new());
    for path in ["conf/..data", "conf/rules", "v1/rules/a.json", "v1/rules"] {
        assert!(targets.cover(&place.path(path)), "{path}");
    }
    assert!(!targets.cover(&place.path("v1/other")));
}

#[test]
fn the_file_behind_a_link_matters_and_so_do_the_links_on_the_way() {
    let place = Place::new();
    place.file("store/x/a.json");
    place.link("store/x", "current");
    fs::create_dir_all(place.path("conf/rules")).expect("a directory can be made");
    place.link("../../current/a.json", "conf/rules/a.json");
    let targets = Targets::of(&place.path("conf"), None, &BTreeSet::new());
    assert!(targets.cover(&place.path("current")));
    assert!(targets.cover(&place.path("store/x/a.json")));
    assert!(!targets.cover(&place.path("store/x/b.json")));
}

#[test]
fn what_is_missing_is_waited_for() {
    let place = Place::new();
    let targets = Targets::of(&place.path("deep/conf"), None, &BTreeSet::new());
    assert!(targets.cover(&place.path("deep")));
    assert!(!targets.cover(&place.path("other")));
}

#[test]
fn links_in_a_circle_end() {
    let place = Place::new();
    place.link("b", "a");
    place.link("a", "b");
    assert!(Targets::of(&place.path("a"), None, &BTreeSet::new()).cover(&place.path("b")));
}

#[test]
fn reading_is_no_change() {
    let place = Place::new();
    let path = place.file("conf/config.json");
    let targets = Targets::of(&place.path("conf"), None, &BTreeSet::new());
    let seen = |kind| Seen::new(kind).add_path(path.clone());
    let opened = EventKind::Access(AccessKind::Open(AccessMode::Any));
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    assert!(!is_change(&seen(opened), &targets));
    assert!(is_change(&seen(written), &targets));
}

#[tokio::test]
async fn a_file_that_is_renamed_over_is_noticed() {
    let place = Place::new();
    let path = place.file("conf/rules/a.json");
    let watch = Watch::arm(&place.path("conf"), None, named());
    fs::rename(place.file("new.json"), path).expect("it can be renamed");
    assert!(is_noticed(&watch).await);
}

#[tokio::test]
async fn a_directory_that_was_removed_and_made_again_is_watched_again() {
    let place = Place::new();
    place.file("conf/rules/a.json");
    let mut watch = Watch::arm(&place.path("conf"), None, named());
    fs::remove_dir_all(place.path("conf")).expect("it can be removed");
    assert!(is_noticed(&watch).await);
    watch.set_again();
    place.file("conf/rules/a.json");
    assert!(is_noticed(&watch).await);
    watch.set_again();
    place.file("conf/rules/b.json");
    assert!(is_noticed(&watch).await);
}

/// What the kernel says when `fs.inotify.max_user_instances` is used up.
fn none_left() -> notify::Error {
    notify::Error::io(std::io::Error::from_raw_os_error(TOO_MANY_OPEN))
}

#[tokio::test]
async fn without_a_watcher_nothing_is_noticed_and_a_later_one_notices_again() {
    let place = Place::new();
    let path = place.file("conf/rules/a.json");
    let mut watch = Watch::arm(&place.path("conf"), None, named());
    watch.watcher = None;
    watch.take(Err(none_left()));
    assert!(watch.watcher.is_none() && watch.has_complained);
    watch.set_again();
    fs::rename(place.file("new.json"), path).expect("it can be renamed");
    assert!(is_noticed(&watch).await);
}

#[tokio::test]
async fn a_watcher_that_cannot_be_made_anew_leaves_the_old_one() {
    let place = Place::new();
    let path = place.file("conf/rules/a.json");
    let mut watch = Watch::arm(&place.path("conf"), None, named());
    watch.take(Err(none_left()));
    fs::rename(place.file("new.json"), path).expect("it can be renamed");
    assert!(is_noticed(&watch).await);
}

#[test]
fn an_operator_is_told_which_limit_is_used_up() {
    let none = help(&none_left()).expect("known");
    assert!(none.contains("max_user_instances"), "{none}");
    let full = notify::Error::new(notify::ErrorKind::MaxFilesWatch);
    assert!(help(&full).expect("known").contains("max_user_watches"));
    assert_eq!(help(&notify::Error::generic("other")), None);
}

#[tokio::test]
async fn a_swapped_link_is_noticed() {
    let place = Place::new();
    place.file("v1/rules/a.json");
    place.file("v2/rules/a.json");
    place.link("v1", "conf");
    let watch = Watch::arm(&place.path("conf"), None, named());
    place.link("v2", "conf.new");
    fs::rename(place.path("conf.new"), place.path("conf")).expect("it can be renamed");
    assert!(is_noticed(&watch).await);
}

#[tokio::test(start_paused = true)]
async fn changes_that_follow_closely_are_one() {
    let change = Arc::new(Notify::new());
    let begun = Instant::now();
    let again = Arc::clone(&change);
    let changing = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..5 {
            tick.tick().await;
            again.notify_one();
        }
    });
    rest(&change).await;
    changing.await.expect("it ends");
    assert_eq!(begun.elapsed(), Duration::from_millis(400) + QUIET);
}

#[tokio::test(start_paused = true)]
async fn changes_without_end_do_not_put_off_a_reload_for_ever() {
    let change = Arc::new(Notify::new());
    let begun = Instant::now();
    let again = Arc::clone(&change);
    let changing = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            again.notify_one();
        }
    });
    rest(&change).await;
    changing.abort();
    assert_eq!(begun.elapsed(), LONGEST);
}
