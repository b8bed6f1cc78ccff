use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::umask;
use serde_json::json;
use tempfile::TempDir;
use vane_core::rules::tls::{AccountBinding, Challenge, KeyType};
use vane_core::value::host_pattern::HostPattern;
use vane_core::value::secret::Secret;

use super::record::{Problem, StoredCertificate, Subproblem};
use super::*;
use crate::acme::schedule::time::UnixTime;
use crate::acme::schedule::{Attempt, Question, RenewalInfo, Window};

#[test]
fn what_is_stored_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    filled(dir.path());
    let storage = locked(dir.path());
    let loaded = storage.load(&managed());
    assert_eq!(Some(pem(1)), loaded.value.pem);
    assert_eq!(Some(order()), loaded.value.order);
    assert_eq!(state(), loaded.value.state);
    assert_eq!(Some(credentials()), storage.account(&account()).value);
    assert!(loaded.damage.is_empty());
    storage.drop_order(&managed()).unwrap();
    storage.drop_order(&managed()).unwrap();
    assert_eq!(None, storage.load(&managed()).value.order);
    storage.drop_account(&account()).unwrap();
    assert_eq!(None, storage.account(&account()).value);
}

#[test]
fn an_order_is_over_once_its_key_is_stored_with_a_certificate() {
    let stored = |key: &Secret| StoredCertificate {
        pem: Some(CertificatePem { key: key.clone(), ..pem(1) }),
        order: Some(order()),
        state: State::default(),
    };
    let over = stored(&Secret::new(&format!("{}\n", order().key.expose())));
    assert!(!over.is_interrupted());
    assert_eq!(None, over.open_order());
    let renewal = stored(&pem(1).key);
    assert!(renewal.is_interrupted());
    assert_eq!(Some(order()), renewal.open_order());
}

#[test]
fn an_order_that_failed_is_open_and_was_not_interrupted() {
    let now = UnixTime(1);
    let after = |attempt| {
        let state = State { attempt: Some(attempt), ..State::default() };
        StoredCertificate { pem: None, order: Some(order()), state }
    };
    let failed = Attempt::begun(None, now, 0).failed(now, None);
    assert!(!after(failed.clone()).is_interrupted());
    assert_eq!(Some(order()), after(failed.clone()).open_order());
    assert!(after(Attempt::begun(Some(&failed), now, 0)).is_interrupted());
}

#[test]
fn what_was_never_stored_is_no_damage() {
    let dir = TempDir::new().unwrap();
    let storage = locked(dir.path());
    let loaded = storage.load(&managed());
    assert!(loaded.value.pem.is_none() && loaded.value.order.is_none());
    assert_eq!(State::default(), loaded.value.state);
    assert_eq!(None, storage.account(&account()).value);
    assert!(loaded.damage.is_empty());
}

#[test]
fn ids_stay_as_they_are_and_tell_apart_what_differs() {
    assert_eq!("_.example.com-0b178763", id::certificate(&managed()));
    assert_eq!("586b6a19a281b372", id::account(&account()));
    let changed = |change: fn(&mut Managed)| {
        let mut managed = managed();
        change(&mut managed);
        id::certificate(&managed)
    };
    let same = [
        changed(|managed| managed.renew_before = Some(Duration::from_secs(1))),
        changed(|managed| managed.challenge = Challenge::TlsAlpn01),
        changed(|managed| managed.account.contact = vec!["mailto:else@example.com".into()]),
    ];
    let different = [
        changed(|managed| managed.names.truncate(1)),
        changed(|managed| managed.account.directory = "https://else.example/".into()),
        changed(|managed| managed.key_type = KeyType::Rsa2048),
        changed(|managed| managed.profile = None),
    ];
    assert!(same.iter().all(|id| *id == id::certificate(&managed())), "{same:?}");
    assert!(different.iter().all(|id| *id != id::certificate(&managed())), "{different:?}");
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    let long = Managed { names: vec![HostPattern::parse(&long).unwrap()], ..managed() };
    assert!(id::certificate(&long).len() < 255);
}

#[test]
fn contacts_and_external_accounts_make_an_account() {
    let reordered =
        AcmeAccount { contact: account().contact.into_iter().rev().collect(), ..account() };
    assert_eq!(id::account(&account()), id::account(&reordered));
    let fewer = AcmeAccount { contact: account().contact[..1].to_vec(), ..account() };
    let unbound = AcmeAccount { binding: None, ..account() };
    assert_ne!(id::account(&account()), id::account(&fewer));
    assert_ne!(id::account(&account()), id::account(&unbound));
}

#[test]
fn nothing_is_anyone_elses_to_read_whatever_the_umask() {
    let dir = TempDir::new().unwrap();
    let before = umask(Mode::empty());
    filled(dir.path());
    umask(before);
    for path in tree(&dir.path().join("acme")) {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(wanted, mode(&path), "{}", path.display());
    }
    assert_eq!(9, tree(&dir.path().join("acme")).len());
}

#[test]
fn rights_of_others_are_taken_away_and_reported_once() {
    let dir = TempDir::new().unwrap();
    drop(filled(dir.path()));
    let root = dir.path().join("acme");
    for path in tree(&root) {
        let open = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
    }
    let storage = Storage::new(dir.path());
    let mut damage = Vec::new();
    let loaded = storage.load(&managed());
    assert_eq!(Some(pem(1)), loaded.value.pem);
    damage.extend(loaded.damage);
    damage.extend(taken(&storage));
    let mut reported: Vec<_> = damage.iter().map(|damage| damage.path.clone()).collect();
    reported.sort_unstable();
    assert_eq!(tree(&root), reported);
    let exposed =
        |damage: &Damage| matches!(damage.defect, Defect::Exposed { mode } if mode & 0o7 != 0);
    assert!(damage.iter().all(exposed), "{damage:?}");
    assert!(tree(&root).iter().all(|path| mode(path) & 0o077 == 0));
    assert!(storage.load(&managed()).damage.is_empty());
}

#[test]
fn a_file_that_is_cut_anywhere_is_kept_aside_and_harms_no_other() {
    for path in FILES {
        let dir = TempDir::new().unwrap();
        let storage = filled(dir.path());
        let path = dir.path().join("acme").join(path);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            damaged(&storage, &path, &whole[..length]);
        }
        plant(&path, &whole);
        assert_eq!(Vec::<Damage>::new(), everything(&storage).1);
    }
}

#[test]
fn a_file_full_of_rubbish_is_kept_aside_and_harms_no_other() {
    let rubbish: [&[u8]; 8] = [
        b"\0\0\0\0\0\0\0\0",
        b"\xff\xfe\xfd",
        b"{}",
        b"[]",
        b"null",
        b"-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n",
        &[b'['; 100_000],
        &[b' '; 2_000_000],
    ];
    for path in FILES {
        let dir = TempDir::new().unwrap();
        let storage = filled(dir.path());
        let path = dir.path().join("acme").join(path);
        for bytes in rubbish {
            if !(path.ends_with("state.json") && [&b"{}"[..], b"[]"].contains(&bytes)) {
                damaged(&storage, &path, bytes);
            }
        }
    }
}

#[test]
fn a_certificate_whose_chain_was_shortened_or_whose_key_was_changed_is_not_served() {
    let text = pem(1).render();
    let last = text.rfind("-----BEGIN CERTIFICATE-----").unwrap();
    assert_eq!(Some(pem(1)), CertificatePem::parse(text.as_bytes()));
    assert_eq!(None, CertificatePem::parse(&text.as_bytes()[..last]));
    assert_eq!(None, CertificatePem::parse(text.replace("a1key", "a2key").as_bytes()));
}

#[test]
fn what_does_not_read_back_is_not_stored_over_what_does() {
    let dir = TempDir::new().unwrap();
    let storage = filled(dir.path());
    for (key, chain) in [("", "x"), (KEY, ""), ("x", CHAIN), (CHAIN, KEY)] {
        let pem = CertificatePem { key: Secret::new(key), chain: chain.to_owned() };
        assert!(storage.save_certificate(&managed(), &pem).is_err());
    }
    assert_eq!(Some(pem(1)), storage.load(&managed()).value.pem);
}

#[test]
fn directories_in_place_of_files_and_files_in_place_of_directories_are_moved_aside() {
    for (path, is_file) in
        FILES.iter().map(|path| (*path, true)).chain(DIRECTORIES.map(|path| (path, false)))
    {
        let dir = TempDir::new().unwrap();
        drop(filled(dir.path()));
        let path = dir.path().join("acme").join(path);
        disk::remove(&path).unwrap();
        if is_file {
            plant_dir(&path);
        } else {
            plant(&path, b"inside");
        }
        let storage = Storage::new(dir.path());
        let mut damage = taken(&storage);
        damage.extend(everything(&storage).1);
        let defect = if is_file { Defect::NotAFile } else { Defect::NotADirectory };
        let kept_as = Some(aside(&path));
        assert_eq!(vec![Damage { path: path.clone(), defect, kept_as }], damage);
        assert!(aside(&path).exists());
        store(&storage);
        assert_eq!((5, Vec::new()), everything(&storage), "{}", path.display());
    }
}

#[test]
fn damage_says_where_what_and_what_was_done() {
    let damage = |defect, kept_as: Option<&str>| {
        let kept_as = kept_as.map(PathBuf::from);
        Damage { path: "/s/acme/a.json".into(), defect, kept_as }.to_string()
    };
    assert_eq!(
        "`/s/acme/a.json` is not what was written there and counts as missing; moved to \
         `/s/acme/a.json.damaged`",
        damage(Defect::Rubbish, Some("/s/acme/a.json.damaged"))
    );
    assert_eq!(
        "`/s/acme/a.json` could be read by others (mode 0644), and no longer can",
        damage(Defect::Exposed { mode: 0o644 }, None)
    );
}

#[test]
fn a_directory_that_appears_where_a_file_is_written_does_not_stop_it() {
    let dir = TempDir::new().unwrap();
    let storage = filled(dir.path());
    let path = dir.path().join("acme").join(FILES[0]);
    fs::remove_file(&path).unwrap();
    plant_dir(&path);
    storage.save_certificate(&managed(), &pem(2)).unwrap();
    assert_eq!(Some(pem(2)), storage.load(&managed()).value.pem);
}

#[test]
fn a_write_that_is_killed_at_any_step_leaves_the_old_or_the_new() {
    let old = pem(1).render();
    let new = pem(2).render();
    let steps: [fn(&mut Draft, &[u8]); 4] = [
        |_, _| {},
        |draft, new| draft.fill(&new[..new.len() / 2]).unwrap(),
        |draft, new| draft.fill(new).unwrap(),
        |draft, new| {
            draft.fill(new).unwrap();
            draft.sync().unwrap();
        },
    ];
    for step in steps {
        let dir = TempDir::new().unwrap();
        drop(filled(dir.path()));
        let path = dir.path().join("acme").join(FILES[0]);
        let mut draft = Draft::create(&path).unwrap();
        step(&mut draft, new.as_bytes());
        // As a kill does, this leaves out what is done on dropping.
        std::mem::forget(draft);
        assert_eq!(10, tree(&dir.path().join("acme")).len());
        let storage = locked(dir.path());
        assert_eq!((5, Vec::new()), everything(&storage));
        assert_eq!(old, fs::read_to_string(&path).unwrap());
        assert_eq!(9, tree(&dir.path().join("acme")).len(), "the draft is gone");
    }
    let dir = TempDir::new().unwrap();
    drop(filled(dir.path()));
    let mut draft = Draft::create(&dir.path().join("acme").join(FILES[0])).unwrap();
    draft.fill(new.as_bytes()).unwrap();
    draft.publish().unwrap();
    assert_eq!(Some(pem(2)), locked(dir.path()).load(&managed()).value.pem);
}

#[test]
fn a_draft_that_is_given_up_is_removed() {
    let dir = TempDir::new().unwrap();
    drop(Draft::create(&dir.path().join("file")).unwrap());
    assert_eq!(1, tree(dir.path()).len());
}

#[test]
fn the_lock_keeps_a_second_daemon_from_writing_and_is_free_after_the_first() {
    let dir = TempDir::new().unwrap();
    let first = filled(dir.path());
    let draft = Draft::create(&dir.path().join("acme").join(FILES[0])).unwrap();
    let second = Storage::new(dir.path());
    assert!(matches!(second.try_lock(), Ok(Lock::HeldByAnother)));
    assert!(matches!(second.save_state(&managed(), &state()), Err(StorageError::NotLocked { .. })));
    assert!(matches!(second.drop_order(&managed()), Err(StorageError::NotLocked { .. })));
    assert_eq!((5, Vec::new()), everything(&second), "it reads all the same");
    draft.publish().unwrap();
    drop(first);
    taken(&second);
    second.save_state(&managed(), &state()).unwrap();
    assert!(matches!(second.try_lock(), Ok(Lock::Taken { .. })), "it still has it");
}

#[test]
fn a_directory_that_was_made_anew_is_locked_anew() {
    let dir = TempDir::new().unwrap();
    let first = filled(dir.path());
    fs::remove_dir_all(dir.path().join("acme")).unwrap();
    let second = filled(dir.path());
    assert!(matches!(first.try_lock(), Ok(Lock::HeldByAnother)));
    assert!(matches!(first.save_state(&managed(), &state()), Err(StorageError::NotLocked { .. })));
    drop(second);
    fs::remove_dir_all(dir.path().join("acme")).unwrap();
    assert_eq!(Vec::<Damage>::new(), taken(&first));
    store(&first);
}

#[test]
fn what_is_tried_before_an_order_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let storage = filled(dir.path());
    let before = tree(dir.path());
    storage.try_order(&managed()).unwrap();
    storage.try_account().unwrap();
    assert_eq!(before, tree(dir.path()));
    let unlocked = Storage::new(dir.path());
    assert!(matches!(unlocked.try_order(&managed()), Err(StorageError::NotLocked { .. })));
}

#[test]
fn without_the_lock_nothing_is_moved() {
    let dir = TempDir::new().unwrap();
    let first = filled(dir.path());
    let path = dir.path().join("acme").join(FILES[0]);
    fs::write(&path, "rubbish").unwrap();
    let second = Storage::new(dir.path());
    let damage = Damage { path: path.clone(), defect: Defect::Rubbish, kept_as: None };
    assert_eq!(vec![damage], second.load(&managed()).damage);
    assert!(path.exists() && !aside(&path).exists());
    assert_eq!(1, first.load(&managed()).damage.len());
    assert!(aside(&path).exists());
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named_with_the_way_out() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [dir.path().join("missing"), file, "/proc".into()] {
        let storage = Storage::new(&path);
        assert!(storage.load(&managed()).value.pem.is_none());
        let error = storage.try_lock().unwrap_err().to_string();
        assert!(error.contains(&format!("kept in `{}`", path.display())), "{error}");
        assert!(error.contains("VANE_STATE_DIR"), "{error}");
    }
}

#[test]
fn certificates_that_nothing_asks_for_are_kept_and_listed() {
    let dir = TempDir::new().unwrap();
    let storage = filled(dir.path());
    let other = Managed { profile: None, ..managed() };
    storage.save_certificate(&other, &pem(2)).unwrap();
    fs::create_dir(dir.path().join("acme/certificates/empty")).unwrap();
    assert_eq!(
        vec![id::certificate(&managed())],
        storage.unclaimed(&[id::certificate(&other)].into())
    );
    assert!(storage.unclaimed(&[&other, &managed()].map(id::certificate).into()).is_empty());
    assert_eq!(Some(pem(1)), storage.load(&managed()).value.pem);
}

#[test]
fn credentials_of_another_account_are_not_used() {
    let dir = TempDir::new().unwrap();
    let storage = filled(dir.path());
    let other = AcmeAccount { binding: None, ..account() };
    let [from, to] = [&account(), &other].map(|account| storage.account_file(account));
    fs::copy(from, to).unwrap();
    assert_eq!(None, storage.account(&other).value);
}

#[test]
fn words_of_an_authority_are_cut_to_what_is_worth_keeping() {
    let detail = "ä".repeat(1_000_000);
    let subproblem = Subproblem { detail: detail.clone(), ..Subproblem::default() };
    let subproblems = vec![subproblem; 200];
    let problem = Problem { kind: "x".to_owned(), detail, subproblems };
    let dir = TempDir::new().unwrap();
    let storage = locked(dir.path());
    storage.save_state(&managed(), &State { problem: Some(problem), ..state() }).unwrap();
    let problem = storage.load(&managed()).value.state.problem.unwrap();
    assert_eq!("ä".repeat(1000), problem.detail);
    assert_eq!(100, problem.subproblems.len());
}

#[test]
fn no_key_is_shown() {
    let stored = StoredCertificate { pem: Some(pem(1)), order: Some(order()), state: state() };
    let shown = format!("{stored:?}{:?}", credentials());
    assert!(!shown.contains("a1key") && !shown.contains("secret"), "{shown}");
    assert_eq!("secret", credentials().expose()["key"]);
}

/// Puts `bytes` in place of one file; all others are read, and the bytes are kept aside.
fn damaged(storage: &Storage, path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(aside(path));
    plant(path, bytes);
    let (intact, damage) = everything(storage);
    let whole = usize::from(damage.is_empty());
    assert_eq!(4 + whole, intact, "{} bytes of {}", bytes.len(), path.display());
    if whole == 1 {
        return;
    }
    let kept_as = (!bytes.is_empty()).then(|| aside(path));
    assert_eq!(
        vec![(path, &kept_as)],
        damage.iter().map(|d| (&*d.path, &d.kept_as)).collect::<Vec<_>>()
    );
    assert!(!path.exists());
    assert!(kept_as.is_none_or(|kept| fs::read(kept).unwrap() == bytes));
    assert_eq!((4, Vec::new()), everything(storage), "it is reported once");
}

/// How much of what [`store`] stored is there as it was, the lock included.
fn everything(storage: &Storage) -> (usize, Vec<Damage>) {
    let loaded = storage.load(&managed());
    let account = storage.account(&account());
    let intact = [
        loaded.value.pem == Some(pem(1)),
        loaded.value.order == Some(order()),
        loaded.value.state == state(),
        account.value == Some(credentials()),
        true,
    ];
    let damage = [loaded.damage, account.damage].concat();
    (intact.into_iter().filter(|intact| *intact).count(), damage)
}

fn filled(state_dir: &Path) -> Storage {
    let storage = locked(state_dir);
    store(&storage);
    storage
}

fn store(storage: &Storage) {
    storage.save_certificate(&managed(), &pem(1)).unwrap();
    storage.save_order(&managed(), &order()).unwrap();
    storage.save_state(&managed(), &state()).unwrap();
    storage.save_account(&account(), &credentials()).unwrap();
}

fn locked(state_dir: &Path) -> Storage {
    let storage = Storage::new(state_dir);
    assert_eq!(Vec::<Damage>::new(), taken(&storage));
    storage
}

fn taken(storage: &Storage) -> Vec<Damage> {
    match storage.try_lock().unwrap() {
        Lock::Taken { damage } => damage,
        Lock::HeldByAnother => panic!("the lock is held by another"),
    }
}

fn aside(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.damaged", path.display()))
}

/// `root` and all below, sorted.
fn tree(root: &Path) -> Vec<PathBuf> {
    let below = disk::entries(root).flat_map(|path| tree(&path));
    let mut found: Vec<_> = below.chain([root.to_owned()]).collect();
    found.sort_unstable();
    found
}

/// Another test may have opened the umask.
fn plant(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn plant_dir(path: &Path) {
    for path in [path, &path.join("inside")] {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn managed() -> Managed {
    let names = ["*.example.com", "example.com"].map(|name| HostPattern::parse(name).unwrap());
    Managed {
        names: names.to_vec(),
        account: account(),
        challenge: Challenge::Http01,
        key_type: KeyType::EcdsaP256,
        renew_before: None,
        profile: Some("shortlived".into()),
    }
}

fn account() -> AcmeAccount {
    let binding = AccountBinding { key_id: "kid-1".into(), hmac_key: Secret::new("secret") };
    AcmeAccount {
        directory: "https://ca.example/directory".into(),
        contact: vec!["mailto:ops@example.com".into(), "mailto:boss@example.com".into()],
        binding: Some(binding),
        ca_file: None,
    }
}

fn pem(number: u8) -> CertificatePem {
    let key = format!("-----BEGIN PRIVATE KEY-----\na{number}key\n-----END PRIVATE KEY-----\n");
    CertificatePem { key: Secret::new(&key), chain: CHAIN.repeat(2) }
}

fn order() -> PendingOrder {
    PendingOrder {
        url: "https://ca.example/order/1".to_owned(),
        account: id::account(&account()),
        key: pem(2).key,
        names: vec!["*.example.com".to_owned(), "example.com".to_owned()],
        created: UnixTime(1_800_000_000),
    }
}

fn state() -> State {
    let now = UnixTime(1_800_000_000);
    let window = Window { start: now, end: now.plus(1000) };
    let question = Question { leaf: "aki.serial", asked: now, previous: None };
    let subproblem = Subproblem {
        name: Some("example.com".to_owned()),
        kind: "urn:ietf:params:acme:error:caa".to_owned(),
        detail: "CAA forbids".to_owned(),
    };
    let problem = Problem {
        kind: "urn:ietf:params:acme:error:compound".to_owned(),
        detail: "see subproblems".to_owned(),
        subproblems: vec![subproblem],
    };
    State {
        attempt: Some(
            Attempt::begun(None, now, u64::MAX).failed(now, Some(Duration::from_secs(60))),
        ),
        problem: Some(problem),
        renewal_info: Some(RenewalInfo::answered(question, window, None, u64::MAX)),
    }
}

fn credentials() -> Credentials {
    Credentials::new(json!({ "id": "https://ca.example/account/1", "key": "secret" }))
}

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nkey\n-----END PRIVATE KEY-----\n";
const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nchain\n-----END CERTIFICATE-----\n";
const FILES: [&str; 4] = [
    "certificates/_.example.com-0b178763/certificate.pem",
    "certificates/_.example.com-0b178763/order.json",
    "certificates/_.example.com-0b178763/state.json",
    "accounts/586b6a19a281b372.json",
];
const DIRECTORIES: [&str; 3] = ["certificates", "certificates/_.example.com-0b178763", "accounts"];
