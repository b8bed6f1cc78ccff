//! Against a server that answers as the documentation of the API says.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use vane_core::rules::tls::DnsProvider;
use vane_core::value::secret::Secret;

use super::Provider;

const TOKEN: &str = "token-of-the-test";
const OWNER: &str = "_acme-challenge.www.example.test";

/// One account with the zone `example.test`.
struct Cloudflare {
    url: String,
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

#[derive(Default)]
struct State {
    /// Id, name and content.
    records: Vec<(u32, String, String)>,
    last: u32,
    /// Method and path of each request.
    asked: Vec<String>,
}

impl Cloudflare {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/client/v4", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let task = tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle();
        Self { url, state, task }
    }

    fn provider(&self, token: &str) -> Provider {
        let (token, api) = (Secret::new(token), self.url.as_str().into());
        Provider::new(DnsProvider::Cloudflare { token, api })
    }

    fn contents(&self) -> Vec<String> {
        self.state.lock().unwrap().records.iter().map(|(_, _, content)| content.clone()).collect()
    }
}

impl Drop for Cloudflare {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(|request| answer(request, &state));
        // A client that goes away is no failure of the server.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    state: &Mutex<State>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let authorized = head
        .headers
        .get("authorization")
        .is_some_and(|value| value.to_str().unwrap() == format!("Bearer {TOKEN}"));
    let target = head.uri.to_string();
    let (status, answer) = match authorized {
        true => state.lock().unwrap().answer(&head.method, &target, &body),
        false => error(StatusCode::FORBIDDEN, 9109, "Invalid access token"),
    };
    let mut response = Response::new(Full::from(answer.to_string()));
    *response.status_mut() = status;
    Ok(response)
}

impl State {
    fn answer(&mut self, method: &Method, target: &str, body: &Value) -> (StatusCode, Value) {
        self.asked.push(format!("{method} {target}"));
        let path = target.strip_prefix("/client/v4").unwrap();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        match (method.as_str(), path) {
            ("GET", "/zones") if query == "name=example.test" => {
                success(&json!([{ "id": "z1", "name": "example.test" }]))
            }
            ("GET", "/zones") => success(&json!([])),
            ("GET", "/zones/z1/dns_records") => {
                let records = self.records.iter().map(|(id, name, content)| {
                    json!({ "id": format!("r{id}"), "name": name, "content": content })
                });
                success(&records.collect())
            }
            ("POST", "/zones/z1/dns_records") => self.create(body),
            ("DELETE", path) => self.delete(path),
            _ => error(StatusCode::NOT_FOUND, 7003, "Could not route to the path"),
        }
    }

    fn create(&mut self, body: &Value) -> (StatusCode, Value) {
        assert_eq!((&body["type"], &body["ttl"]), (&json!("TXT"), &json!(60)));
        let text = |key: &str| body[key].as_str().unwrap().to_owned();
        let (name, content) = (text("name"), text("content"));
        if self.records.iter().any(|record| (&record.1, &record.2) == (&name, &content)) {
            return error(StatusCode::BAD_REQUEST, 81058, "An identical record already exists.");
        }
        self.last += 1;
        self.records.push((self.last, name, content));
        success(&json!({ "id": format!("r{}", self.last) }))
    }

    fn delete(&mut self, path: &str) -> (StatusCode, Value) {
        let before = self.records.len();
        self.records.retain(|(id, ..)| path != format!("/zones/z1/dns_records/r{id}"));
        if self.records.len() == before {
            return error(StatusCode::NOT_FOUND, 81044, "Record does not exist.");
        }
        success(&json!({ "id": path.rsplit('/').next() }))
    }
}

fn success(result: &Value) -> (StatusCode, Value) {
    let answer = json!({ "success": true, "errors": [], "messages": [], "result": result });
    (StatusCode::OK, answer)
}

fn error(status: StatusCode, code: u32, message: &str) -> (StatusCode, Value) {
    let errors = json!([{ "code": code, "message": message }]);
    (status, json!({ "success": false, "errors": errors, "messages": [], "result": null }))
}

#[tokio::test]
async fn two_values_stand_at_one_name_and_each_is_removed_alone() {
    let cloudflare = Cloudflare::start().await;
    let provider = cloudflare.provider(TOKEN);
    let first = provider.present(OWNER, "first").await.unwrap();
    let second = provider.present(OWNER, "second").await.unwrap();
    assert_eq!(cloudflare.contents(), ["\"first\"", "\"second\""]);
    provider.cleanup(&first).await.unwrap();
    assert_eq!(cloudflare.contents(), ["\"second\""]);
    provider.cleanup(&second).await.unwrap();
    provider.cleanup(&second).await.expect("one that is gone is fine");
    assert!(cloudflare.contents().is_empty());
}

#[tokio::test]
async fn what_may_have_been_put_is_found_and_removed() {
    let cloudflare = Cloudflare::start().await;
    let provider = cloudflare.provider(TOKEN);
    provider.present(OWNER, "other").await.unwrap();
    provider.present(OWNER, "first").await.unwrap();
    let doubtful = provider.record(OWNER, "first");
    provider.cleanup(&doubtful).await.unwrap();
    assert_eq!(cloudflare.contents(), ["\"other\""]);
    provider.cleanup(&doubtful).await.unwrap();
}

#[tokio::test]
async fn the_zone_is_looked_for_from_the_name_upward() {
    let cloudflare = Cloudflare::start().await;
    cloudflare.provider(TOKEN).present(OWNER, "value").await.unwrap();
    let zones = ["_acme-challenge.www.example.test", "www.example.test", "example.test"];
    let zones = zones.map(|zone| format!("GET /client/v4/zones?name={zone}"));
    assert_eq!(cloudflare.state.lock().unwrap().asked[..3], zones);
    let words = cloudflare.provider(TOKEN).words("_acme-challenge.other.invalid").await;
    let expected = "Cloudflare: no zone of the account has `_acme-challenge.other.invalid`";
    assert!(words.starts_with(expected), "{words}");
}

#[tokio::test]
async fn a_record_that_is_there_already_is_taken_as_it_is() {
    let cloudflare = Cloudflare::start().await;
    let provider = cloudflare.provider(TOKEN);
    provider.present(OWNER, "other").await.unwrap();
    let first = provider.present(OWNER, "value").await.unwrap();
    let again = provider.present(OWNER, "value").await.unwrap();
    assert_eq!(first, again);
    assert_eq!(cloudflare.contents(), ["\"other\"", "\"value\""]);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code_and_without_the_token() {
    let cloudflare = Cloudflare::start().await;
    let provider = cloudflare.provider("wrong-token");
    let failure = provider.present(OWNER, "value").await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "Cloudflare: refused with status 403: Invalid access token (error 9109); check the token \
         and its permissions"
    );
    assert!(!format!("{failure:?} {:?}", provider.dns).contains("wrong-token"));
}

#[tokio::test]
async fn an_api_that_is_none_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, token) = (listener.local_addr().unwrap(), Secret::new(TOKEN));
    drop(listener);
    let api = format!("http://{address}").into();
    let provider = Provider::new(DnsProvider::Cloudflare { token: token.clone(), api });
    let words = provider.words(OWNER).await;
    assert!(words.starts_with(&format!("Cloudflare: `{address}` cannot be reached: ")), "{words}");
}
