//! Commands that get no answer, or a no.

use std::os::unix::net::UnixListener;
use std::process::Stdio;

use serde_json::json;
use vane_mgmt::reply::{Fault, METHOD_NOT_FOUND, no};

use crate::rig::{Daemon, run, vane};

#[test]
fn without_a_daemon_the_status_is_three_and_a_line_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.sock");
    let path = path.to_str().unwrap();
    for args in [&["ping"][..], &["stats"], &["reload"], &["get", "config"], &["plan", "/x"]] {
        let run = run(&mut vane(&[args, &["--socket", path]].concat()));
        assert_eq!((3, ""), (run.status, &*run.stdout));
        assert_eq!(
            format!(
                "error: no daemon at {path}: the socket does not exist\n\
                 help: start vaned, or name its socket with `--socket` or `VANE_MGMT_UNIX`\n"
            ),
            run.stderr
        );
    }
}

#[test]
fn a_stale_socket_is_no_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vaned.sock");
    drop(UnixListener::bind(&path).unwrap());
    let run = run(vane(&["ping"]).env("XDG_RUNTIME_DIR", directory.path()));
    assert_eq!(3, run.status);
    assert!(run.stderr.contains("nothing listens on the socket\nhelp: start vaned"), "{run:?}");
}

#[test]
fn a_ping_that_is_not_answered_is_given_up_after_three_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.sock");
    let _hung = UnixListener::bind(&path).unwrap();
    let run = run(vane(&["ping"]).env("VANE_MGMT_UNIX", &path));
    let expected = "error: the daemon did not answer `ping` within 3s\n";
    assert_eq!((3, "", expected), (run.status, &*run.stdout, &*run.stderr));
}

#[test]
fn a_refused_reload_has_status_one_and_says_what_is_wrong() {
    let daemon = refusing();
    let run = daemon.vane(&["reload"]);
    assert_eq!((1, ""), (run.status, &*run.stdout));
    let expected = "\
error[no-action]: `a` does nothing
  --> rules/a.json:3:5
   = help: add `respond`

error: the configuration is invalid, generation 3 goes on serving
";
    assert_eq!(expected, run.stderr);
}

#[test]
fn a_refused_reload_in_json_is_its_data() {
    let run = refusing().vane(&["--json", "reload"]);
    assert_eq!(1, run.status);
    assert!(run.stdout.starts_with("{\"outcome\":\"refused\",\"diagnostics\":[{"), "{run:?}");
    assert_eq!(1, run.stdout.lines().count());
}

fn refusing() -> Daemon {
    Daemon::answering(|_| {
        let diagnostic = json!({
            "code": "no-action", "severity": "error", "message": "`a` does nothing",
            "file": "rules/a.json", "line": 3, "column": 5, "help": ["add `respond`"]
        });
        let message = "the configuration is invalid, generation 3 goes on serving";
        no(message, &json!({ "outcome": "refused", "diagnostics": [diagnostic] }))
    })
}

#[test]
fn a_refused_renewal_has_status_one_and_says_which_certificate_is_near() {
    let daemon = Daemon::answering(|_| {
        let words = "there is no certificate `b`: did you mean `a`?";
        no(words, &json!({ "name": "b", "reason": "unknown", "near": "a" }))
    });
    let run = daemon.vane(&["cert", "renew", "b"]);
    let expected = "error: there is no certificate `b`: did you mean `a`?\n";
    assert_eq!((1, "", expected), (run.status, &*run.stdout, &*run.stderr));
    let run = daemon.vane(&["cert", "renew", "b", "--json"]);
    let expected = "{\"name\":\"b\",\"reason\":\"unknown\",\"near\":\"a\"}\n";
    assert_eq!((1, expected), (run.status, &*run.stdout));
}

#[test]
fn a_directory_that_does_not_compile_has_status_one() {
    let daemon = Daemon::always(json!({
        "ok": false, "text": null, "rendered": "error[no-action]: `a` does nothing\n"
    }));
    for command in ["compile", "plan"] {
        let run = daemon.vane(&[command, "/x"]);
        assert_eq!((1, ""), (run.status, &*run.stdout));
        let expected = "error[no-action]: `a` does nothing\nerror: the configuration is invalid\n";
        assert!(run.stderr.ends_with(expected), "{}", run.stderr);
        assert_eq!(1, daemon.vane(&[command, "/x", "--json"]).status);
    }
}

#[test]
fn a_daemon_of_another_version_is_pointed_out() {
    let daemon = Daemon::answering(|_| Err(Fault::new(METHOD_NOT_FOUND, "there is no method")));
    let run = daemon.vane(&["stats"]);
    assert_eq!(1, run.status);
    assert!(run.stderr.contains("help: the daemon is of another version"), "{run:?}");
    let odd = Daemon::always(json!({ "odd": true })).vane(&["stats"]);
    assert_eq!(3, odd.status);
    assert!(odd.stderr.contains("help: the daemon is of another version"), "{odd:?}");
}

#[test]
fn a_wrong_command_line_has_status_two() {
    for args in [
        &["fly"][..],
        &["compile"],
        &["get"],
        &["get", "mood"],
        &["cert"],
        &["cert", "renew"],
        &["ping", "--loud"],
        &["shutdown", "--budget-secs", "-1"],
        &["completions", "cmd"],
        &["man", "fly"],
        &["schema", "certs"],
        &["explain", "GET https://[/"],
        &["explain", "-H", "a:b"],
        &["explain", "GET http://a/", "-H", "no header", "--config", "/x"],
        &["explain-error", "unknown-filed"],
        &[],
    ] {
        let run = run(&mut vane(args));
        assert_eq!((2, ""), (run.status, &*run.stdout), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty());
    }
}

#[test]
fn a_reader_that_went_away_ends_it_quietly() {
    let text = "x\n".repeat(1_000_000);
    let daemon = Daemon::always(json!({
        "generation": 2, "graph_hash": "ab12", "text": text, "graph": {}
    }));
    for args in [&["get", "config"][..], &["get", "config", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = daemon.command(args);
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((Some(0), &b""[..]), (output.status.code(), &*output.stderr));
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let daemon = Daemon::always(json!({ "version": "0.1.0", "pid": 4711, "uptime_ms": 0 }));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = daemon.command(&["ping"]);
    let child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(Some(1), output.status.code());
    assert!(stderr.starts_with("error: cannot write the result: "), "{stderr}");
}
