//! Commands that need no daemon.

use crate::rig::{run, vane};

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = run(&mut vane(&["completions", shell]));
        assert_eq!((0, ""), (run.status, &*run.stderr), "{shell}");
        for word in ["listeners", "shutdown", "socket"] {
            assert!(run.stdout.contains(word), "{shell} does not know {word}");
        }
    }
}

#[test]
fn the_manual_page_names_commands_statuses_and_variables() {
    let run = run(&mut vane(&["man"]));
    assert_eq!((0, ""), (run.status, &*run.stderr));
    assert!(run.stdout.contains(".TH vane 1"), "{}", run.stdout);
    for word in ["reload", "Exit status", "VANE_MGMT_UNIX", "\\-\\-socket"] {
        assert!(run.stdout.contains(word), "{word} is missing:\n{}", run.stdout);
    }
}

#[test]
fn each_command_has_a_manual_page() {
    for command in [&["get", "listeners"][..], &["get", "certs"], &["cert", "renew"]] {
        let run = run(&mut vane(&[&["man"], command].concat()));
        assert_eq!((0, ""), (run.status, &*run.stderr));
        let name = format!("vane\\-{}", command.join("\\-"));
        assert!(run.stdout.contains(&name), "{}", run.stdout);
    }
}

#[test]
fn help_in_a_pipe_has_no_escapes_and_shows_the_statuses() {
    let run = run(&mut vane(&["--help"]));
    assert_eq!((0, ""), (run.status, &*run.stderr));
    assert!(!run.stdout.contains('\u{1b}'));
    assert!(run.stdout.contains("3  no daemon answers"), "{}", run.stdout);
}

#[test]
fn the_version_is_that_of_the_package() {
    let run = run(&mut vane(&["--version"]));
    assert_eq!(format!("vane {}\n", env!("CARGO_PKG_VERSION")), run.stdout);
}
