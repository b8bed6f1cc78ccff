//! Every variable that the daemon knows, for reading and for the documentation.

use std::fmt::Write as _;

/// One variable.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) meaning: &'static str,
}

/// Which values a variable takes.
#[derive(Debug)]
pub(super) enum Kind {
    /// Anything; what is accepted and what holds without it, in words.
    Text { range: &'static str, default: &'static str },
    /// One of a few words, the default first.
    Word(&'static [&'static str]),
    /// `1`, which is the default, or `0`.
    Flag,
    /// A whole number within bounds. The default is given in words where it is not fixed.
    Number { min: u64, max: u64, default: Default },
}

/// What holds where a number is not set.
#[derive(Debug)]
pub(super) enum Default {
    Fixed(u64),
    Words(&'static str),
}

impl Variable {
    /// The accepted values in words.
    pub(super) fn range(&self) -> String {
        match &self.kind {
            Kind::Text { range, .. } => (*range).to_owned(),
            Kind::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                words.join(", ")
            }
            Kind::Flag => "`0` or `1`".to_owned(),
            Kind::Number { min, max, .. } => format!("a whole number from {min} to {max}"),
        }
    }

    fn default(&self) -> String {
        match &self.kind {
            Kind::Text { default, .. } => (*default).to_owned(),
            Kind::Word(words) => format!("`{}`", words[0]),
            Kind::Flag => "`1`".to_owned(),
            Kind::Number { default: Default::Fixed(number), .. } => format!("`{number}`"),
            Kind::Number { default: Default::Words(words), .. } => (*words).to_owned(),
        }
    }
}

/// The table of all variables in Markdown.
#[cfg_attr(not(test), expect(dead_code, reason = "only the test that keeps the page current asks"))]
pub(super) fn markdown() -> String {
    let mut table = "| name | default | values | meaning |\n|---|---|---|---|\n".to_owned();
    for variable in ALL {
        let Variable { name, meaning, .. } = variable;
        let (default, range) = (variable.default(), variable.range());
        writeln!(table, "| `{name}` | {default} | {range} | {meaning} |")
            .expect("a string takes every text");
    }
    table
}

const fn number(
    name: &'static str,
    bounds: (u64, u64),
    default: u64,
    meaning: &'static str,
) -> Variable {
    let (min, max) = bounds;
    Variable { name, kind: Kind::Number { min, max, default: Default::Fixed(default) }, meaning }
}

const fn text(
    name: &'static str,
    range: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable { name, kind: Kind::Text { range, default }, meaning }
}

pub(super) const CONFIG_DIR: Variable = text(
    "VANE_CONFIG_DIR",
    "a path",
    "`/etc/vaned`",
    "The configuration directory, where `--config` is not given. Not read from `.env`, which \
     lies in it.",
);
pub(super) const STATE_DIR: Variable = text(
    "VANE_STATE_DIR",
    "an absolute path",
    "`/var/lib/vaned`",
    "Where state that outlives the daemon is kept: managed certificates and the keys of session \
     tickets.",
);
pub(super) const MGMT_UNIX: Variable = text(
    "VANE_MGMT_UNIX",
    "a path",
    "`$XDG_RUNTIME_DIR/vaned.sock`, else `/var/run/vaned.sock`",
    "The management socket. Where this is set and cannot be bound, the daemon does not start; \
     where the default cannot be created, it serves without management and says so.",
);
pub(super) const LOG: Variable = text(
    "VANE_LOG",
    "`off`, `error`, `warn`, `info`, `debug`, `trace`, or directives such as \
     `info,vane_engine=debug`",
    "`info`",
    "What is logged.",
);
pub(super) const LOG_FORMAT: Variable = Variable {
    name: "VANE_LOG_FORMAT",
    kind: Kind::Word(&["auto", "text", "json", "journald"]),
    meaning: "How it is logged. `auto` is `journald` (text without times) where stderr is the \
              journal, `text` on a terminal, `json` otherwise.",
};
pub(super) const LOG_FILE: Variable = text(
    "VANE_LOG_FILE",
    "a path",
    "stderr",
    "The file that the log is appended to. Opened again at SIGHUP, so that it can be rotated.",
);
pub(super) const WORKERS: Variable = Variable {
    name: "VANE_WORKERS",
    kind: Kind::Number { min: 1, max: 1024, default: Default::Words("one for each core") },
    meaning: "Threads that serve traffic.",
};
pub(super) const DRAIN_TIMEOUT_SECS: Variable = number(
    "VANE_DRAIN_TIMEOUT_SECS",
    (0, 86_400),
    30,
    "How long what is in flight may go on when the daemon ends or a listener is removed.",
);
pub(super) const BIND_IPV4: Variable = Variable {
    name: "VANE_BIND_IPV4",
    kind: Kind::Flag,
    meaning: "Whether listeners are opened for IPv4. With `0`, `\":443\"` means `[::]:443` alone.",
};
pub(super) const BIND_IPV6: Variable = Variable {
    name: "VANE_BIND_IPV6",
    kind: Kind::Flag,
    meaning: "Whether listeners are opened for IPv6. With `0`, `\":443\"` means `0.0.0.0:443` \
              alone.",
};
pub(super) const BIND_BACKOFF_INITIAL_MS: Variable = number(
    "VANE_BIND_BACKOFF_INITIAL_MS",
    (1, 3_600_000),
    100,
    "The pause after the first failed attempt to bind a listener; it doubles with each further \
     one.",
);
pub(super) const BIND_BACKOFF_MAX_MS: Variable = number(
    "VANE_BIND_BACKOFF_MAX_MS",
    (1, 3_600_000),
    5000,
    "The longest pause between two attempts. At least the initial one.",
);
pub(super) const BIND_MAX_ATTEMPTS: Variable = number(
    "VANE_BIND_MAX_ATTEMPTS",
    (1, 1_000_000),
    10,
    "Attempts after which a listener gives up until the next reload.",
);
pub(super) const SEC_MAX_CONNECTIONS: Variable =
    number("VANE_SEC_MAX_CONNECTIONS", (16, 10_000_000), 65_536, "Open connections in total.");
pub(super) const SEC_MAX_CONNECTIONS_PER_ADDRESS: Variable = number(
    "VANE_SEC_MAX_CONNECTIONS_PER_ADDRESS",
    (4, 10_000_000),
    1024,
    "Open connections from one IPv4 address or one IPv6 /64.",
);
pub(super) const SEC_HEADER_BYTES: Variable =
    number("VANE_SEC_HEADER_BYTES", (8192, 1_048_576), 65_536, "Bytes of a request's head.");
pub(super) const SEC_HEADER_COUNT: Variable =
    number("VANE_SEC_HEADER_COUNT", (32, 4096), 100, "Fields of a request's head.");
pub(super) const SEC_HEADER_TIME_MS: Variable = number(
    "VANE_SEC_HEADER_TIME_MS",
    (250, 3_600_000),
    30_000,
    "Milliseconds from the first byte of a request's head to its last.",
);
pub(super) const SEC_BODY_IDLE_MS: Variable = number(
    "VANE_SEC_BODY_IDLE_MS",
    (250, 86_400_000),
    60_000,
    "Milliseconds without a byte of a body that is waited for, or of an answer that the client \
     does not take.",
);
pub(super) const SEC_KEEP_ALIVE_MS: Variable = number(
    "VANE_SEC_KEEP_ALIVE_MS",
    (250, 86_400_000),
    75_000,
    "Milliseconds that a connection may idle between two requests.",
);
pub(super) const SEC_STREAMS: Variable =
    number("VANE_SEC_STREAMS", (16, 65_536), 256, "Requests under way on one HTTP/2 connection.");
pub(super) const SEC_REQUESTS_PER_SECOND: Variable = number(
    "VANE_SEC_REQUESTS_PER_SECOND",
    (10, 10_000_000),
    20_000,
    "Requests within one second on one connection.",
);
pub(super) const SEC_HANDSHAKE_TIME_MS: Variable = number(
    "VANE_SEC_HANDSHAKE_TIME_MS",
    (250, 3_600_000),
    10_000,
    "Milliseconds that a TLS handshake may take.",
);
pub(super) const SEC_HANDSHAKES_PENDING: Variable =
    number("VANE_SEC_HANDSHAKES_PENDING", (16, 10_000_000), 8192, "TLS handshakes under way.");
pub(super) const SEC_HANDSHAKES_PER_SECOND: Variable = number(
    "VANE_SEC_HANDSHAKES_PER_SECOND",
    (10, 10_000_000),
    1000,
    "TLS handshakes within one second from one IPv4 address or one IPv6 /64.",
);
pub(super) const ACME_HTTP_PORT: Variable = number(
    "VANE_ACME_HTTP_PORT",
    (1, 65_535),
    80,
    "The port on which `http-01` challenges arrive here, where something in front of this host \
     forwards port 80 to another one.",
);
pub(super) const SEC_RESETS_PER_SECOND: Variable = number(
    "VANE_SEC_RESETS_PER_SECOND",
    (10, 1_000_000),
    200,
    "Streams that a client resets within one second on one HTTP/2 connection.",
);

/// All of them, in the order of the documentation.
pub(super) const ALL: &[&Variable] = &[
    &CONFIG_DIR,
    &STATE_DIR,
    &ACME_HTTP_PORT,
    &MGMT_UNIX,
    &LOG,
    &LOG_FORMAT,
    &LOG_FILE,
    &WORKERS,
    &DRAIN_TIMEOUT_SECS,
    &BIND_IPV4,
    &BIND_IPV6,
    &BIND_BACKOFF_INITIAL_MS,
    &BIND_BACKOFF_MAX_MS,
    &BIND_MAX_ATTEMPTS,
    &SEC_MAX_CONNECTIONS,
    &SEC_MAX_CONNECTIONS_PER_ADDRESS,
    &SEC_HEADER_BYTES,
    &SEC_HEADER_COUNT,
    &SEC_HEADER_TIME_MS,
    &SEC_BODY_IDLE_MS,
    &SEC_KEEP_ALIVE_MS,
    &SEC_STREAMS,
    &SEC_REQUESTS_PER_SECOND,
    &SEC_RESETS_PER_SECOND,
    &SEC_HANDSHAKE_TIME_MS,
    &SEC_HANDSHAKES_PENDING,
    &SEC_HANDSHAKES_PER_SECOND,
];
