use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use integration::wait;
use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;
use vane_core::rules::tls::DnsProvider;

use super::Provider;

/// A script of the operator's, and a directory that it may write to.
struct Hook {
    place: TempDir,
    provider: Provider,
}

impl Hook {
    /// `$here` in the script is the directory.
    fn new(script: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("hook");
        let text = format!("#!/bin/sh\nhere='{}'\n{script}\n", place.path().display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let program = path.to_str().unwrap().into();
        Self { provider: Provider::new(DnsProvider::Exec { program }), place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

#[tokio::test]
async fn the_program_is_told_what_to_do_with_which_record() {
    let hook = Hook::new(r#"printf '%s|' "$@" >> "$here/calls""#);
    let record = hook.provider.present("_acme-challenge.a.test", "first").await.unwrap();
    hook.provider.present("_acme-challenge.a.test", "$(id) 'x'").await.unwrap();
    hook.provider.cleanup(&record).await.unwrap();
    assert_eq!(
        hook.text("calls"),
        "present|_acme-challenge.a.test|first|present|_acme-challenge.a.test|$(id) 'x'|\
         cleanup|_acme-challenge.a.test|first|"
    );
}

#[tokio::test]
async fn the_program_gets_a_path_and_nothing_else() {
    let hook = Hook::new(r#"env > "$here/env"; pwd > "$here/pwd"; cat > "$here/input""#);
    hook.provider.present("a.test", "v").await.unwrap();
    let env = hook.text("env");
    let foreign = env.lines().find(|line| {
        // The shell's own.
        !["PATH=/usr/bin:/bin", "PWD=/", "_=", "SHLVL=", "OLDPWD"]
            .iter()
            .any(|own| line.starts_with(own))
    });
    assert_eq!(foreign, None);
    assert_eq!((hook.text("pwd").as_str(), hook.text("input").as_str()), ("/\n", ""));
}

#[tokio::test]
async fn a_failure_is_told_with_the_status_and_the_last_words() {
    let script = "for line in one two three four; do echo $line >&2; done; \
                  printf '\\033[31mfive\\n' >&2; echo output; exit 3";
    let words = Hook::new(script).provider.words("a.test").await;
    assert!(
        words.ends_with("/hook` failed with exit status: 3: three / four / \u{fffd}[31mfive"),
        "{words}"
    );
    let words = Hook::new("echo only this; exit 1").provider.words("a.test").await;
    assert!(words.ends_with("failed with exit status: 1: only this"), "{words}");
    let words = Hook::new("kill -9 $$").provider.words("a.test").await;
    assert!(words.contains("signal: 9") && words.ends_with("and said nothing"), "{words}");
}

#[tokio::test]
async fn a_flood_of_words_is_read_and_its_end_kept() {
    let script =
        "yes flood | head -c 3000000 >&2; echo; yes | head -c 3000000; echo the end >&2; exit 1";
    let words = Hook::new(script).provider.words("a.test").await;
    assert!(words.ends_with("/ the end") && words.len() < 1200, "{words}");
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_named() {
    let provider = Provider::new(DnsProvider::Exec { program: "/nonexistent/hook".into() });
    let words = provider.words("a.test").await;
    assert!(words.starts_with("`/nonexistent/hook` cannot be run: "), "{words}");
}

#[tokio::test]
async fn what_the_program_leaves_running_is_not_waited_for() {
    let hook = Hook::new(r#"sleep 600 & echo $! > "$here/pid"; exit 0"#);
    tokio::time::timeout(LIMIT, hook.provider.present("a.test", "v")).await.unwrap().unwrap();
    let left = pid(&hook);
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_program_that_is_given_up_dies_with_its_children() {
    let hook =
        Hook::new(r#"sleep 600 & echo $! > "$here/pid.new"; mv "$here/pid.new" "$here/pid"; wait"#);
    let run = hook.provider.present("a.test", "v");
    let written = wait::until("the program to run", LIMIT, async || hook.path("pid").exists());
    tokio::select! {
        outcome = run => panic!("{outcome:?}"),
        () = written => {}
    }
    let child = pid(&hook);
    wait::until("its child to die", LIMIT, async || !is_alive(child)).await;
}

#[tokio::test]
async fn a_program_that_does_not_end_is_killed_after_two_minutes() {
    let hook = Hook::new(r#"echo > "$here/started"; exec sleep 600"#);
    let run = hook.provider.words("a.test");
    let started = async {
        wait::until("the program to run", LIMIT, async || hook.path("started").exists()).await;
        tokio::time::pause();
        std::future::pending::<()>().await;
    };
    let words = tokio::select! {
        words = run => words,
        () = started => panic!("never ends"),
    };
    assert!(words.ends_with("did not end within 120 seconds and was killed"), "{words}");
}

fn pid(hook: &Hook) -> Pid {
    Pid::from_raw(hook.text("pid").trim().parse().unwrap()).unwrap()
}

/// Whether it still runs; one that nobody has waited for yet does not.
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_ok() && stat.is_ok_and(|stat| !stat.contains(") Z "))
}

const LIMIT: Duration = Duration::from_secs(20);
