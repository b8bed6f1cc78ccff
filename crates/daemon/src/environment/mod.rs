//! From variables to what the daemon and its engine are told at start. Pure: the variables are a
//! map, and every bad value is reported at once.

mod reader;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use vane_core::compile::{AcmeHttpPort, Families};
use vane_core::value::suggest::nearest;
use vane_engine::settings::{BindSettings, FloorSettings, Settings};
use vane_mgmt::path::socket_path;

pub(crate) use self::reader::BadVariable;
use self::reader::Reader;

/// What the variables say.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// For the engine.
    pub(crate) engine: Settings,
    /// The families that listeners are opened for.
    pub(crate) families: Families,
    /// The port that authorities reach `http-01` challenges through.
    pub(crate) acme_http_port: AcmeHttpPort,
    /// Where management is.
    pub(crate) management: ManagementSettings,
    /// How to log.
    pub(crate) log: LogSettings,
    /// What looks like a mistake, in words for the log.
    pub(crate) doubts: Vec<String>,
}

/// Where management is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManagementSettings {
    /// The socket.
    pub(crate) path: PathBuf,
    /// Whether the operator named it, and so relies on it.
    pub(crate) is_named: bool,
}

/// What is logged, how, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// Directives, known to be well formed.
    pub(crate) filter: String,
    /// The form; none to choose by what stderr is.
    pub(crate) format: Option<LogFormat>,
    /// The file; none for stderr.
    pub(crate) file: Option<PathBuf>,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A line with its time.
    Text,
    /// An object a line.
    Json,
    /// A line without its time, which the journal knows.
    Journald,
}

impl Environment {
    /// Reads all variables. An empty one counts as not set.
    ///
    /// # Errors
    /// Every variable with a bad value.
    pub(crate) fn read(variables: &BTreeMap<String, String>) -> Result<Self, Vec<BadVariable>> {
        let mut reader = Reader::new(variables);
        let environment = Self {
            engine: engine(&mut reader),
            families: families(&mut reader),
            acme_http_port: AcmeHttpPort(reader.number_or(&table::ACME_HTTP_PORT, 80)),
            management: ManagementSettings {
                path: socket_path(variables),
                is_named: reader.text(&table::MGMT_UNIX).is_some(),
            },
            log: log(&mut reader),
            doubts: doubts(variables),
        };
        match reader.problems.is_empty() {
            true => Ok(environment),
            false => Err(reader.problems),
        }
    }
}

/// The configuration directory by the variables of the operating system.
pub(crate) fn config_dir(variables: &BTreeMap<String, String>) -> PathBuf {
    Reader::new(variables).text(&table::CONFIG_DIR).unwrap_or(DEFAULT_CONFIG_DIR).into()
}

fn engine(reader: &mut Reader<'_>) -> Settings {
    let workers = Settings::default().workers;
    Settings {
        workers: reader.number_or(&table::WORKERS, workers),
        bind: bind(reader),
        drain: Duration::from_secs(reader.number_or(&table::DRAIN_TIMEOUT_SECS, 0)),
        floor: floor(reader),
        state_dir: reader
            .absolute_path(&table::STATE_DIR)
            .unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
    }
}

fn bind(reader: &mut Reader<'_>) -> BindSettings {
    let bind = BindSettings {
        backoff_initial: reader.milliseconds(&table::BIND_BACKOFF_INITIAL_MS),
        backoff_max: reader.milliseconds(&table::BIND_BACKOFF_MAX_MS),
        max_attempts: reader.number_or(&table::BIND_MAX_ATTEMPTS, 0),
    };
    if bind.backoff_max < bind.backoff_initial && reader.problems.is_empty() {
        let initial = bind.backoff_initial.as_millis();
        let name = table::BIND_BACKOFF_INITIAL_MS.name;
        let range = format!("at least {initial}, the value of {name}");
        reader.refuse(&table::BIND_BACKOFF_MAX_MS, range);
    }
    bind
}

fn floor(reader: &mut Reader<'_>) -> FloorSettings {
    FloorSettings {
        connections: reader.number_or(&table::SEC_MAX_CONNECTIONS, 0),
        connections_per_address: reader.number_or(&table::SEC_MAX_CONNECTIONS_PER_ADDRESS, 0),
        header_bytes: reader.number_or(&table::SEC_HEADER_BYTES, 0),
        header_count: reader.number_or(&table::SEC_HEADER_COUNT, 0),
        header_time: reader.milliseconds(&table::SEC_HEADER_TIME_MS),
        body_idle: reader.milliseconds(&table::SEC_BODY_IDLE_MS),
        keep_alive: reader.milliseconds(&table::SEC_KEEP_ALIVE_MS),
        streams: reader.number_or(&table::SEC_STREAMS, 0),
        requests_per_second: reader.number_or(&table::SEC_REQUESTS_PER_SECOND, 0),
        resets_per_second: reader.number_or(&table::SEC_RESETS_PER_SECOND, 0),
        handshake_time: reader.milliseconds(&table::SEC_HANDSHAKE_TIME_MS),
        handshakes_pending: reader.number_or(&table::SEC_HANDSHAKES_PENDING, 0),
        handshakes_per_second: reader.number_or(&table::SEC_HANDSHAKES_PER_SECOND, 0),
    }
}

fn families(reader: &mut Reader<'_>) -> Families {
    let families =
        Families { ipv4: reader.flag(&table::BIND_IPV4), ipv6: reader.flag(&table::BIND_IPV6) };
    if !families.ipv4 && !families.ipv6 {
        let other = table::BIND_IPV4.name;
        reader.refuse(&table::BIND_IPV6, format!("`1` where {other} is `0`: one family is needed"));
    }
    families
}

fn log(reader: &mut Reader<'_>) -> LogSettings {
    let filter = reader.text(&table::LOG).unwrap_or(DEFAULT_FILTER);
    if !is_filter(filter) {
        reader.refuse(&table::LOG, table::LOG.range());
    }
    LogSettings {
        filter: filter.to_owned(),
        format: match reader.word(&table::LOG_FORMAT) {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            "journald" => Some(LogFormat::Journald),
            _ => None,
        },
        file: reader.text(&table::LOG_FILE).map(PathBuf::from),
    }
}

/// A bare word that is no level would be taken for the name of a target, and everything of that
/// target be logged: what was meant is another level.
fn is_filter(text: &str) -> bool {
    let words = text.split(',').map(str::trim).filter(|word| !word.contains(['=', '[']));
    let mut levels = words.map(str::to_ascii_lowercase);
    levels.all(|word| LEVELS.contains(&&*word))
        && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}

/// Names that belong to a family of ours and to no variable, so that a slip is not overlooked.
fn doubts(variables: &BTreeMap<String, String>) -> Vec<String> {
    let known = || table::ALL.iter().map(|variable| variable.name);
    let unknown = variables.keys().filter(|name| {
        FAMILIES.iter().any(|family| name.starts_with(family))
            && known().all(|known| known != **name)
    });
    unknown
        .map(|name| match nearest(name, known()) {
            Some(near) => format!("{name} is no setting: did you mean {near}?"),
            None => format!("{name} is no setting: it is ignored"),
        })
        .collect()
}

const DEFAULT_CONFIG_DIR: &str = "/etc/vaned";
const DEFAULT_STATE_DIR: &str = "/var/lib/vaned";
const DEFAULT_FILTER: &str = "info";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const FAMILIES: [&str; 3] = ["VANE_SEC_", "VANE_BIND_", "VANE_LOG"];
