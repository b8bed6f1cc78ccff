//! What a client can ask of the daemon: the methods and their parameters.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::reply::{Fault, INVALID_PARAMS, METHOD_NOT_FOUND};

/// One request. The result of each method is a type of [`views`](crate::views).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `ping`: is the daemon there? Answers with a `PingView`.
    Ping,
    /// `stats`: how is the daemon? Answers with a `StatsView`.
    Stats,
    /// `reload`: read the configuration directory again. Answers with a `ReloadView` when it is
    /// done.
    Reload,
    /// `shutdown`: drain and end. Answers with a `DrainView` when the drain has begun.
    Shutdown(ShutdownParams),
    /// `compile_dry_run`: compile a directory and install nothing. Answers with a `CompileView`.
    CompileDryRun(DirParams),
    /// `plan`: what would a reload change? Answers with a `PlanView`.
    Plan(DirParams),
    /// `get_config`: what serves now? Answers with a `ConfigView`.
    GetConfig,
    /// `get_listeners`: answers with a `ListenersView`.
    GetListeners,
    /// `get_connections`: answers with a `ConnectionsView`.
    GetConnections,
    /// `get_certs`: answers with a `CertsView`.
    GetCerts,
    /// `force_renew`: order a managed certificate now. Answers with a `RenewView` when that has
    /// been asked for, not when it has come.
    ForceRenew(RenewParams),
}

/// The parameters of `shutdown`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShutdownParams {
    /// Seconds that in-flight work gets to finish; the daemon's own setting if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_secs: Option<u64>,
}

/// The parameters of `compile_dry_run` and `plan`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirParams {
    /// The directory as the daemon sees it; the daemon's own configuration directory if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
}

/// The parameters of `force_renew`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewParams {
    /// The certificate, as `get_certs` calls it.
    pub name: String,
}

impl Request {
    /// Reads a request from its method and parameters, where absent parameters are `Value::Null`.
    ///
    /// # Errors
    /// Method not found, or invalid parameters: unknown ones are refused, because a daemon that
    /// ignored them would do something other than what was asked.
    pub fn parse(method: &str, params: Value) -> Result<Self, Fault> {
        let plain = |request| read::<NoParams>(method, params.clone()).map(|_| request);
        match method {
            "ping" => plain(Self::Ping),
            "stats" => plain(Self::Stats),
            "reload" => plain(Self::Reload),
            "get_config" => plain(Self::GetConfig),
            "get_listeners" => plain(Self::GetListeners),
            "get_connections" => plain(Self::GetConnections),
            "get_certs" => plain(Self::GetCerts),
            "force_renew" => read(method, params).map(Self::ForceRenew),
            "shutdown" => read(method, params).map(Self::Shutdown),
            "compile_dry_run" => read(method, params).map(Self::CompileDryRun),
            "plan" => read(method, params).map(Self::Plan),
            _ => Err(unknown(method)),
        }
    }

    /// The method's name on the wire.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Stats => "stats",
            Self::Reload => "reload",
            Self::Shutdown(_) => "shutdown",
            Self::CompileDryRun(_) => "compile_dry_run",
            Self::Plan(_) => "plan",
            Self::GetConfig => "get_config",
            Self::GetListeners => "get_listeners",
            Self::GetConnections => "get_connections",
            Self::GetCerts => "get_certs",
            Self::ForceRenew(_) => "force_renew",
        }
    }

    /// The parameters as they go on the wire; `Value::Null` when there are none to send.
    pub fn params(&self) -> Value {
        let written = match self {
            Self::Shutdown(params) => serde_json::to_value(params),
            Self::CompileDryRun(params) | Self::Plan(params) => serde_json::to_value(params),
            Self::ForceRenew(params) => serde_json::to_value(params),
            _ => Ok(Value::Null),
        };
        let params = written.expect("structs of numbers and strings always serialise");
        if params == Value::Object(Map::new()) { Value::Null } else { params }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParams {}

fn read<P: DeserializeOwned>(method: &str, params: Value) -> Result<P, Fault> {
    let params = match params {
        Value::Null => Value::Object(Map::new()),
        Value::Array(items) if items.is_empty() => Value::Object(Map::new()),
        Value::Array(_) => return Err(invalid(method, "give them by name, as an object")),
        params => params,
    };
    serde_json::from_value(params).map_err(|error| invalid(method, &error.to_string()))
}

fn invalid(method: &str, why: &str) -> Fault {
    Fault::new(INVALID_PARAMS, format!("bad parameters for `{method}`: {why}"))
}

fn unknown(method: &str) -> Fault {
    let shown: String = method.chars().take(SHOWN_METHOD_CHARS).collect();
    Fault::new(METHOD_NOT_FOUND, format!("there is no method `{shown}`"))
}

/// How much of an unknown method's name is repeated in the answer.
const SHOWN_METHOD_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_request_survives_the_wire() {
        let dir = DirParams { dir: Some("/etc/vaned".to_owned()) };
        let requests = [
            Request::Ping,
            Request::Stats,
            Request::Reload,
            Request::Shutdown(ShutdownParams { budget_secs: Some(5) }),
            Request::CompileDryRun(dir.clone()),
            Request::Plan(dir),
            Request::Plan(DirParams::default()),
            Request::GetConfig,
            Request::GetListeners,
            Request::GetConnections,
            Request::GetCerts,
            Request::ForceRenew(RenewParams { name: "example.com".to_owned() }),
        ];
        for request in requests {
            assert_eq!(Ok(request.clone()), Request::parse(request.method(), request.params()));
        }
    }

    #[test]
    fn unknown_and_positional_parameters_are_refused() {
        for (method, params) in [
            ("ping", json!({ "loud": true })),
            ("shutdown", json!({ "budget": 5 })),
            ("shutdown", json!({ "budget_secs": "5" })),
            ("plan", json!(["/etc/vaned"])),
            ("plan", json!("/etc/vaned")),
            ("force_renew", json!({})),
            ("force_renew", json!({ "name": null })),
            ("force_renew", json!({ "name": "a", "all": true })),
        ] {
            let fault = Request::parse(method, params).unwrap_err();
            assert_eq!(INVALID_PARAMS, fault.code, "{}", fault.message);
        }
    }

    #[test]
    fn empty_parameters_are_no_parameters() {
        for params in [json!(null), json!({}), json!([])] {
            assert_eq!(Ok(Request::Reload), Request::parse("reload", params));
        }
    }
}
