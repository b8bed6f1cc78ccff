use integration::config_dir::ConfigDir;
use integration::vane::{Output, Vane};
use integration::vaned::Vaned;
use integration::wait::until;
use serde_json::{Value, json};

use super::{LIMIT, said, says};

/// S1. S2. The calls that only look, each with what the daemon itself answers.
#[tokio::test]
async fn json_is_the_result_of_the_daemon_word_for_word() {
    let (_config, vaned) = start().await;
    let calls: [(&[&str], &str); 4] = [
        (&["get", "config"], "get_config"),
        (&["get", "listeners"], "get_listeners"),
        (&["get", "connections"], "get_connections"),
        (&["get", "certs"], "get_certs"),
    ];
    for (args, method) in calls {
        let output = vane(&vaned, &[args, &["--json"]].concat()).await;
        assert_eq!((0, ""), (output.status, &*output.stderr), "{args:?}");
        let result = vaned.manage(method, json!({})).await.unwrap();
        assert_eq!(format!("{result}\n"), output.stdout, "{args:?}");
    }
    for (args, method) in [("ping", "ping"), ("stats", "stats")] {
        let output = vane(&vaned, &["--json", args]).await;
        let (own, result) = (parsed(&output), vaned.manage(method, json!({})).await.unwrap());
        assert_eq!((0, keys(&result)), (output.status, keys(&own)), "{args}");
        assert_eq!(result["pid"], own["pid"]);
    }
}

/// S1. People get tables, with no escapes in a pipe.
#[tokio::test]
async fn people_get_tables_without_escapes_in_a_pipe() {
    let (_config, vaned) = start().await;
    let looks: [(&[&str], &str); 5] = [
        (&["ping"], "vaned"),
        (&["stats"], "generation"),
        (&["get", "listeners"], "127.0.0.1:0"),
        (&["get", "config"], "only"),
        (&["get", "connections"], ""),
    ];
    for (args, part) in looks {
        let output = vane(&vaned, args).await;
        assert_eq!(0, output.status, "{args:?} {}", output.stderr);
        assert!(output.stdout.to_lowercase().contains(part), "{args:?}: {}", output.stdout);
        assert!(!output.stdout.contains('\x1b'), "{args:?}: {:?}", output.stdout);
    }
}

/// S9. S1. `reload` waits for the outcome: done, unchanged, refused.
#[tokio::test]
async fn a_reload_has_the_exit_status_of_its_outcome() {
    let (config, vaned) = start().await;
    assert_eq!("unchanged", parsed(&vane(&vaned, &["reload", "--json"]).await)["outcome"]);
    config.write_rule("only", says("127.0.0.1:0", "new"));
    let output = vane(&vaned, &["reload"]).await;
    assert_eq!(0, output.status, "{}", output.stderr);
    assert_eq!("new", said(vaned.only_addr().await).await.unwrap());
    config.write("rules/only.json", "{");
    let output = vane(&vaned, &["reload"]).await;
    assert_eq!(1, output.status);
    assert!(output.stderr.contains("json-syntax"), "{}", output.stderr);
    let output = vane(&vaned, &["reload", "--json"]).await;
    let refused = parsed(&output);
    assert_eq!((1, &json!("refused")), (output.status, &refused["outcome"]), "{}", output.stdout);
    assert_eq!("new", said(vaned.only_addr().await).await.unwrap());
}

/// S7. `compile` and `plan` of a directory say yes or no with their exit status.
#[tokio::test]
async fn a_compile_and_a_plan_say_whether_the_directory_is_valid() {
    let (_config, vaned) = start().await;
    let other = ConfigDir::new().rule("other", says("127.0.0.5:0", "other"));
    let dir = other.path().to_string_lossy().into_owned();
    for command in ["compile", "plan"] {
        let output = vane(&vaned, &[command, &dir]).await;
        assert_eq!(0, output.status, "{command}: {}", output.stderr);
        assert!(output.stdout.contains("other"), "{command}: {}", output.stdout);
        let view = parsed(&vane(&vaned, &[command, &dir, "--json"]).await);
        assert_eq!(json!(true), view["ok"]);
    }
    other.write("rules/other.json", "[1]");
    for command in ["compile", "plan"] {
        let output = vane(&vaned, &[command, &dir]).await;
        assert_eq!(1, output.status, "{command}: {}", output.stdout);
        assert!(output.stderr.contains("error[wrong-type]"), "{command}: {}", output.stderr);
        let output = vane(&vaned, &[command, &dir, "--json"]).await;
        assert_eq!((1, &json!(false)), (output.status, &parsed(&output)["ok"]));
    }
}

/// S10. S1. `shutdown` ends the daemon as SIGTERM does.
#[tokio::test]
async fn a_shutdown_ends_the_daemon() {
    let (_config, mut vaned) = start().await;
    let output = vane(&vaned, &["shutdown", "--budget-secs", "2", "--json"]).await;
    assert_eq!((0, json!({ "draining": true })), (output.status, parsed(&output)));
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    let output = vane(&vaned, &["ping"]).await;
    assert_eq!(3, output.status);
    assert!(output.stderr.contains(&*vaned.socket().to_string_lossy()), "{}", output.stderr);
}

/// S1. Without a daemon, and with a wrong command line.
#[tokio::test]
async fn no_daemon_is_3_and_a_wrong_command_line_is_2() {
    for args in [&["ping"][..], &["stats"], &["reload"], &["get", "config"], &["shutdown"]] {
        let output = Vane::new().run(args).await;
        assert_eq!((3, ""), (output.status, &*output.stdout), "{args:?}");
        assert!(output.stderr.contains("/nonexistent/vaned.sock"), "{}", output.stderr);
    }
    for args in [&["frobnicate"][..], &["get"], &["get", "everything"], &["compile"]] {
        assert_eq!(2, Vane::new().run(args).await.status, "{args:?}");
    }
}

/// S1. S7. What needs no daemon: a directory is checked and compiled without network, root, state
/// or socket.
#[tokio::test]
async fn a_directory_is_checked_and_compiled_without_a_daemon() {
    let config = ConfigDir::new().rule("only", says("127.0.0.1:0", "${UNSET:-old}"));
    let dir = config.path().to_string_lossy().into_owned();
    for command in ["check", "compile"] {
        let output = Vane::new().run(&[command, &dir]).await;
        assert_eq!(0, output.status, "{command}: {}", output.stderr);
    }
    config.write_rule("only", says("127.0.0.1:0", "${UNSET}"));
    for command in ["check", "compile"] {
        let output = Vane::new().run(&[command, &dir]).await;
        assert_eq!(1, output.status, "{command}: {}", output.stdout);
        assert!(output.stderr.contains("error[unset-variable]"), "{command}: {}", output.stderr);
    }
    assert_eq!(0, Vane::new().run(&["check", "--allow-unset", &dir]).await.status);
}

/// S1. The language is documented by the program itself.
#[tokio::test]
async fn the_language_is_printed_without_a_daemon() {
    let prints: [(&[&str], &str); 5] = [
        (&["schema", "rules"], "$schema"),
        (&["schema", "config"], "$schema"),
        (&["fields"], "http.host"),
        (&["explain-error", "unknown-field"], "# unknown-field"),
        (&["completions", "bash"], "vane"),
    ];
    for (args, part) in prints {
        let output = Vane::new().run(args).await;
        assert_eq!(0, output.status, "{args:?}: {}", output.stderr);
        assert!(output.stdout.contains(part), "{args:?}: {}", output.stdout);
    }
    assert_ne!(0, Vane::new().run(&["explain-error", "unknown-feild"]).await.status);
}

/// S2. S5. The command line finds the socket where the daemon puts it.
#[tokio::test]
async fn both_programs_look_for_the_socket_in_the_same_place() {
    let config = ConfigDir::new().rule("only", says("127.0.0.1:0", "a"));
    let runtime = tempfile::tempdir().unwrap();
    let place = runtime.path().to_string_lossy().into_owned();
    let starting = Vaned::builder(&config).unset("VANE_MGMT_UNIX").env("XDG_RUNTIME_DIR", &place);
    let vaned = starting.spawn();
    let output = until("an answer", LIMIT, async || {
        // An empty value counts as none.
        let asking = Vane::new().env("VANE_MGMT_UNIX", "").env("XDG_RUNTIME_DIR", &place);
        let output = asking.run(&["ping", "--json"]).await;
        if output.status == 0 { Ok(output) } else { Err(output.stderr) }
    })
    .await;
    assert_eq!(json!(vaned.pid()), parsed(&output)["pid"]);
}

/// S2. There is one client in the house, and the command line opens no socket of its own.
#[test]
fn the_command_line_has_no_client_of_its_own() {
    let cli = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/cli");
    let manifest = std::fs::read_to_string(format!("{cli}/Cargo.toml")).unwrap();
    assert!(manifest.contains("vane-mgmt"));
    let mut waiting = vec![std::path::PathBuf::from(format!("{cli}/src"))];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains("UnixStream"), "{}", path.display());
        }
    }
}

async fn start() -> (ConfigDir, Vaned) {
    let config = ConfigDir::new().rule("only", says("127.0.0.1:0", "old"));
    let vaned = Vaned::start(&config).await;
    (config, vaned)
}

async fn vane(vaned: &Vaned, args: &[&str]) -> Output {
    Vane::new().socket(vaned.socket()).run(args).await
}

fn parsed(output: &Output) -> Value {
    let parsed = serde_json::from_str(&output.stdout);
    parsed.unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().map(|object| object.keys().collect()).unwrap_or_default()
}
